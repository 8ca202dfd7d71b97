"""Runs a command under a seccomp profile in the form that Docker and Podman read.

    python confined.py PROFILE COMMAND [ARGUMENT...]

It is what their runtimes do with the same file: the process loads the filter and becomes the command. Names that this
machine's architecture does not have are left out.
"""

import json
import os
import sys
from pathlib import Path

import pyseccomp

OPERATORS = {"SCMP_CMP_EQ": pyseccomp.EQ, "SCMP_CMP_NE": pyseccomp.NE, "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ}


def confine(profile):
    """This process and those that it starts can do no more than the profile lets them, for good."""
    rules = pyseccomp.SyscallFilter(action(profile["defaultAction"], profile.get("defaultErrnoRet")))
    for entry in profile["syscalls"]:
        for name in filter(is_here, entry["names"]):
            conditions = [condition(argument) for argument in entry.get("args", [])]
            rules.add_rule(action(entry["action"], entry.get("errnoRet")), name, *conditions)
    rules.load()


def action(name, error):
    return {"SCMP_ACT_ALLOW": pyseccomp.ALLOW, "SCMP_ACT_ERRNO": pyseccomp.ERRNO(error or 1)}[name]


def condition(argument):
    operator = OPERATORS[argument["op"]]
    values = [argument["value"], argument["valueTwo"]] if operator == pyseccomp.MASKED_EQ else [argument["value"]]
    return pyseccomp.Arg(argument["index"], operator, *values)


def is_here(name):
    return pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0


if __name__ == "__main__":
    confine(json.loads(Path(sys.argv[1]).read_text()))
    os.execvp(sys.argv[2], sys.argv[2:])
