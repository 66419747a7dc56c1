"""The built-in servers behind the gate, for one machine: demo, tests and a first look.

Each runs as a child process on a Unix socket and is, to the gate, an ordinary upstream. `children` keeps
them alive, `maildir` and its neighbours hold the mail, `mail` is the IMAP child itself. They promise what
their docstrings say and no more; a real mail server replaces them by one line of configuration.
"""
