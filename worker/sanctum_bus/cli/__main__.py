"""Run `sanctum` with `python -m sanctum_bus.cli`."""

from sanctum_bus.cli import main

if __name__ == "__main__":
    main()
