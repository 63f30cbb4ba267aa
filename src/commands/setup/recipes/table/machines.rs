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
               # then, the service reads /run/secrets/hallpass-token\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- docker compose up}\n",
        ..PRINTED
    },
    Tool {
        name: "cron",
        programs: "cron",
        found_by: &["crontab"],
        feature: "a token file that is written again",
        head: "# crontab -e; a job of cron reaches no keychain of a desktop: log in with --secret-file\n\
               @{cron-variables: UNSTORED-SETTINGS}\
               */10 * * * * @{sh>cron: hallpass token PROFILE --min-ttl 15m --output TOKEN-FILE}\n",
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
        head: "# .github/workflows/NAME.yml, in the job, with hallpass installed; the client secret is a secret of\n\
               # the repository\n\
               env: @{yaml-mapping: SETTINGS}\n\
               steps:\n\
               - run: hallpass exec -- PROGRAM\n\
               \x20 env:\n\
               \x20   HALLPASS_CLIENT_SECRET: ${{ secrets.HALLPASS_CLIENT_SECRET }}\n",
        ..PRINTED
    },
    Tool {
        name: "gitlab-ci",
        programs: "GitLab CI",
        found_by: &[],
        feature: "a profile from the environment",
        head: "# .gitlab-ci.yml, with hallpass in the image; HALLPASS_CLIENT_SECRET is a masked variable of the project\n\
               JOB:\n\
               \x20 variables: @{yaml-mapping: SETTINGS}\n\
               \x20 script:\n\
               \x20 - hallpass exec -- PROGRAM\n",
        ..PRINTED
    },
    Tool {
        name: "kubernetes",
        programs: "Kubernetes",
        found_by: &[],
        feature: "a secret, made by kubectl",
        head: "# again before the token expires\n\
               @{shell: hallpass token PROFILE --template {\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"hallpass-token\"},\"stringData\":{\"token\":\"{token}\"}}} | kubectl apply -f -\n\n\
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
        each: "@{shell: hallpass token PROFILE --format curl} | ssh MACHINE @{sh>shell: curl -K - URL}\n",
        ..PRINTED
    },
    Tool {
        name: "systemd",
        programs: "systemd",
        found_by: &["systemctl"],
        feature: "a token file that is written again",
        head: "# ~/.config/systemd/user/hallpass-@{text: LABEL}.service\n\
               [Service]\n\
               Type=oneshot\n\
               @{systemd-variables: UNSTORED-SETTINGS}\
               ExecStart=@{systemd: hallpass token PROFILE --min-ttl 15m --output TOKEN-FILE}\n\n\
               # ~/.config/systemd/user/hallpass-@{text: LABEL}.timer\n\
               [Timer]\n\
               OnStartupSec=1s\n\
               OnUnitActiveSec=10m\n\n\
               [Install]\n\
               WantedBy=timers.target\n\n\
               # then\n\
               systemctl --user enable --now hallpass-@{text: LABEL}.timer\n",
        ..PRINTED
    },
    Tool {
        name: "variable",
        programs: "any program",
        found_by: &[],
        feature: "an environment variable",
        head: "# a program that reads VARIABLE\n\
               @{shell: hallpass exec -e VARIABLE=PROFILE -- PROGRAM}\n\n\
               # a program that reads a file; hallpass setup systemd and hallpass setup cron write it again\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "wsl",
        programs: "WSL",
        found_by: &["wsl", "wslpath"],
        feature: "hallpass of Windows",
        head: "# ~/.local/bin/hallpass in WSL: every tool there then uses the profiles of Windows\n\
               #!/bin/sh\n\
               exec hallpass.exe \"$@\"\n\n\
               # then\n\
               chmod +x ~/.local/bin/hallpass\n",
        ..PRINTED
    },
];
