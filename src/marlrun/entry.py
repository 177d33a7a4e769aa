"""Where the commands begin: signals are answered, output is safe, and then the rest is imported."""

from importlib import import_module

from marlrun.runner.signals import Interrupt, answer


def marlrun() -> int:
    """Be the command `marlrun`; return the exit code."""
    return _run("marlrun", "marlrun.cli")


def report() -> int:
    """Be the command `marlrun-report`; return the exit code."""
    return _run("marlrun-report", "marlrun.report.cli")


def _run(program: str, module: str) -> int:
    interrupt = Interrupt(program)
    answer(interrupt)
    from marlrun.output import protect, say  # a signal may come at any moment

    protect()
    try:
        return import_module(module).main()
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return 130
    finally:
        # While the interpreter ends, an exception would be a traceback.
        answer(interrupt.leave)
