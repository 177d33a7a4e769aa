"""Draw every particle world, after ten steps of random play, into docs/pictures."""

from pathlib import Path

from PIL import Image

from marlrun.envs.pettingzoo.export import parallel_env

GAMES = ("spread", "speaker_listener", "push", "tag", "adversary", "networked_spread")
STEPS, SEED = 10, 2


def main() -> None:
    """Write docs/pictures/NAME.png for each game."""
    directory = Path(__file__).parent / "pictures"
    directory.mkdir(exist_ok=True)
    for name in GAMES:
        game = parallel_env(name, render_mode="rgb_array")
        game.reset(seed=SEED)
        game.render()  # From here on, the game counts the returns.
        for agent in game.possible_agents:
            game.action_space(agent).seed(SEED)
        for _ in range(STEPS):
            game.step({agent: game.action_space(agent).sample() for agent in game.agents})
        # 64 colours hold all that is drawn, with smooth edges.
        Image.fromarray(game.render()).quantize(64).save(directory / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
