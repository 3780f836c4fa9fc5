"""``rqpy completion``: prints the script that lets a shell complete command lines of rqpy."""

from __future__ import annotations

import click

from rq_py.cli.printing import write

SHELLS = ("bash", "zsh", "fish")
#: Set in the environment by that script, it has rqpy print completions and nothing else.
VARIABLE = "_RQPY_COMPLETE"


@click.command(epilog="\b\nExample:\n  $ rqpy completion bash > rqpy.bash")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def command(shell: str) -> None:
    """Print the script with which a shell completes modes, options, jids, states, tags and fields.

    For bash put this into ~/.bashrc: eval "$(rqpy completion bash)". For zsh put the same with zsh into
    ~/.zshrc, behind compinit. For fish write the output into ~/.config/fish/completions/rqpy.fish.
    """
    from rq_py.cli.completing import script

    write(script(shell))
