"""claims.py: which of two lines of steps does what: a folder of both, in which whoever comes first leaves a file."""
import os


def claim(folder, name):
    """Is that ours, or has the other line begun it?"""
    try:
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
