"""`run_lines.py KIND FILE`: runs the commands of a CI file by `sh`, with the variables that the file sets."""

import os
import re
import subprocess
import sys

import ruamel.yaml


def run(command, *variables):
    environment = dict(os.environ)
    for mapping in variables:
        for name, value in mapping.items():
            # The service fills in a secret of the project.
            environment[name] = re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda found: os.environ[found[1]], value)
    subprocess.run(["sh", "-ec", command], env=environment, check=True)


kind, file = sys.argv[1:]
with open(file, encoding="utf-8") as stream:
    content = ruamel.yaml.YAML(typ="safe").load(stream)
if kind == "github":
    for job in content["jobs"].values():
        for step in job["steps"]:
            run(step["run"], job["env"], step.get("env", {}))
else:
    for job in content.values():
        for line in job["script"]:
            run(line, job["variables"])
