"""The configuration tree (YAML only); mirrors the packages of marlrun."""
