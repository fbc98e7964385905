"""`python -m sanctum_bus.cli` is `sanctum`."""

from sanctum_bus.cli import main

if __name__ == "__main__":
    main()
