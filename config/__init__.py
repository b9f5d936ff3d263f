"""Where an installation is put together. Knows all packages; nobody knows it.

- `settings`: every setting, composed from each package's own; `reading` gets them from the file and
  the environment, `mistakes` says what is wrong with them, `shapes` and `toml_lines` serve both.
- `logs`: structured log lines, without numbers, addresses and secrets.
- `app`: the daemon; builds, starts and stops the parts.
- `cli`: the `santral` command.
- `demo`: a whole contact center on one machine.
"""
