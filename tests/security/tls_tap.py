"""tls_tap.py: tap.py with --certificates, the folder that make_certificates.sh has filled."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from tap import Tap  # noqa: E402


class Certificates(Tap):
    def arguments(self):
        parser = super().arguments()
        parser.add_argument("--certificates", default=".")
        return parser
