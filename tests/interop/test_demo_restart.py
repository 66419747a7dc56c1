"""A demo started again under other names: its config file tells of the last start, as it serves."""

from config.load import load
from support.running import running_demo, stop


def test_the_config_file_is_sound_after_any_start(tmp_path):
    data, ready = tmp_path / "data", tmp_path / "ready.json"
    for options in ((), ("--host", "gate.example.org", "--host", "127.0.0.1"), ()):
        with running_demo(data, ready, *options) as demo:
            config = load(data / "wicketgate.toml")
            served = (demo.facts["host"], demo.facts["imaps_port"], demo.facts["imap_port"])
            assert (
                config.server.public_host,
                config.listen.imaps[0].port,
                config.listen.imap[0].port,
            ) == served
            assert served[0] == (options[1] if options else "localhost")
            assert demo.cli("check").returncode == 0, demo.cli("check").stderr
            assert stop(demo.process) == 0
            assert demo.cli("check").returncode == 0
