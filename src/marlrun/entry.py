"""Where the commands begin: signals are answered, output is safe, and then the rest is imported."""

from importlib import import_module

from marlrun.system.signals import Handler, Interrupt, answer


def marlrun() -> int:
    """Be the command `marlrun`; return the exit code."""
    # Where something would be left half done, a handler is set that lets it be finished.
    return _run("marlrun", "marlrun.cli.main", Interrupt("marlrun").exit_now)


def report() -> int:
    """Be the command `marlrun-report`; return the exit code."""
    # An exception, so that the progress bar is removed from the screen.
    return _run("marlrun-report", "marlrun.report.cli", Interrupt("marlrun-report"))


def _run(program: str, module: str, handle: Handler) -> int:
    """Import a command's module, then let `handle` answer signals while the command runs."""
    interrupt = Interrupt(program)
    answer(interrupt.exit_now)
    import_module("marlrun.system.output").protect()
    main = import_module(module).main
    try:
        answer(handle)
        return main()
    except KeyboardInterrupt:
        return interrupt.announce()
    finally:
        # While the interpreter ends, an exception would be a traceback.
        answer(interrupt.exit_now)
