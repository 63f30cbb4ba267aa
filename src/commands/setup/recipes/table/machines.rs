//! CI, containers and services, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "compose",
        programs: "Docker Compose",
        found_by: &["docker-compose", "~/.docker"],
        feature: "a secret, from an environment variable",
        head: "# compose.yaml\n\
               services:\n\
               \x20 SERVICE:\n\
               \x20   secrets: [hallpass-token]\n\
               secrets:\n\
               \x20 hallpass-token:\n\
               \x20   environment: HALLPASS_TOKEN\n\n\
               # then, the service reads /run/secrets/hallpass-token. Compose copies the token once: for a service that runs\n\
               # longer than a token, mount a directory in which hallpass keep has a file, or use hallpass serve --socket\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- docker compose up}\n",
        ..PRINTED
    },
    Tool {
        name: "cron",
        programs: "cron",
        found_by: &["crontab"],
        feature: "a token file that is kept valid",
        head: "# crontab -e; a job of cron reaches no keychain of a desktop: log in with --secret-file\n\
               @{cron-variables: UNSTORED-SETTINGS}\
               * * * * * @{sh>cron: hallpass keep PROFILE=TOKEN-FILE --once --min-ttl 3m}\n",
        ..PRINTED
    },
    Tool {
        name: "dockerfile",
        programs: "docker build",
        found_by: &["docker"],
        feature: "a build secret, from an environment variable",
        head: "# in the Dockerfile; no layer keeps the token\n\
               RUN --mount=type=secret,id=hallpass-token \\\n\
               \x20   HALLPASS_TOKEN=\"$(cat /run/secrets/hallpass-token)\" PROGRAM\n\n\
               # then\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- docker build --secret id=hallpass-token,env=HALLPASS_TOKEN .}\n",
        ..PRINTED
    },
    Tool {
        name: "github-actions",
        programs: "GitHub Actions",
        found_by: &[],
        feature: "a profile from the environment",
        head: "# .github/workflows/NAME.yml, in the job, with hallpass installed; the log does not show the token\n\
               @{text: GITHUB-PERMISSIONS}\
               env: @{yaml-mapping: GITHUB-SETTINGS}\n\
               steps:\n\
               - run: |\n\
               \x20   echo \"::add-mask::$(hallpass token)\"\n\
               \x20   hallpass exec -- PROGRAM\n\
               @{text: GITHUB-SECRET}",
        ..PRINTED
    },
    Tool {
        name: "gitlab-ci",
        programs: "GitLab CI",
        found_by: &[],
        feature: "a profile from the environment",
        head: "# .gitlab-ci.yml, with hallpass in the image; a client secret is the masked variable\n\
               # HALLPASS_CLIENT_SECRET of the project. GitLab does not hide the token if PROGRAM prints it.\n\
               JOB:\n\
               \x20 variables: @{yaml-mapping: GITLAB-SETTINGS}\n\
               @{text: GITLAB-ID-TOKENS}\
               \x20 script:\n\
               \x20 - hallpass exec -- PROGRAM\n",
        ..PRINTED
    },
    Tool {
        name: "kubernetes",
        programs: "Kubernetes",
        found_by: &[],
        feature: "a secret that is kept valid by kubectl",
        head: "# leave this running\n\
               @{shell: hallpass keep PROFILE=MANIFEST-FILE --min-ttl 5m --template {\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"hallpass-token\"},\"stringData\":{\"token\":\"{token}\"}} --exec} @{sh>argument: kubectl apply --server-side --force-conflicts -f MANIFEST-FILE}\n\n\
               # in the pod, which gets the new token without a restart\n\
               volumes:\n\
               - name: hallpass-token\n\
               \x20 secret:\n\
               \x20   secretName: hallpass-token\n",
        ..PRINTED
    },
    Tool {
        name: "ssh",
        programs: "ssh",
        found_by: &["ssh"],
        feature: "a pipe, so that no argument list has the token",
        each: "@{shell: hallpass token PROFILE --format curl} | ssh MACHINE @{sh>argument: curl -K - URL}\n",
        ..PRINTED
    },
    Tool {
        name: "systemd",
        programs: "systemd",
        found_by: &["systemctl"],
        feature: "a token file that is kept valid",
        head: "# ~/.config/systemd/user/hallpass-@{text: LABEL}.service\n\
               [Service]\n\
               Type=notify\n\
               @{systemd-variables: UNSTORED-SETTINGS}\
               ExecStart=@{systemd: hallpass keep PROFILE=TOKEN-FILE}\n\
               ExecReload=kill -HUP $MAINPID\n\
               WatchdogSec=5m\n\
               Restart=on-failure\n\n\
               [Install]\n\
               WantedBy=default.target\n\n\
               # then\n\
               systemctl --user enable --now hallpass-@{text: LABEL}.service\n",
        ..PRINTED
    },
    Tool {
        name: "variable",
        programs: "any program",
        found_by: &[],
        feature: "an environment variable",
        head: "# a program that reads VARIABLE\n\
               @{shell: hallpass exec -e VARIABLE=PROFILE -- PROGRAM}\n\n\
               # a program that reads a file: leave this running, or see hallpass setup systemd and hallpass setup cron\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "wsl",
        programs: "WSL",
        found_by: &["wsl", "wslpath"],
        feature: "hallpass of Windows",
        head: "# ~/.local/bin/hallpass in WSL: git, docker and other tools that run hallpass then use the profiles of\n\
               # Windows; hallpass exec, keep and setup need a hallpass of Linux\n\
               #!/bin/sh\n\
               exec hallpass.exe \"$@\"\n\n\
               # then\n\
               chmod +x ~/.local/bin/hallpass\n\n\
               # a program that reads VARIABLE\n\
               VARIABLE=\"$(hallpass.exe token @{sh: PROFILE})\" PROGRAM\n",
        ..PRINTED
    },
];
