"""Configuration: what YAML files say of their keys, and what is composed from them."""
