"""What learners from demonstrations share: cloning, adversarial teachers, and PPO that a teacher pays."""
