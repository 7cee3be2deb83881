"""several.py: what the random tests with several connections share: their options, and a TAP line for each run."""
import argparse

import wire

FAMILIES = ['strings', 'bits', 'generic', 'hashes', 'sets', 'lists', 'zsets', 'geo', 'sort', 'streams', 'hll']
SHOWN = 14  # of what came before a difference


class Different(Exception):
    """The two servers did not do the same; the text says what."""


def parser(doc, count, counted, families=None):
    """For a redis-server and a box that run; families may be chosen if there are any."""
    made = argparse.ArgumentParser(description=doc.split('\n', maxsplit=1)[0])
    made.add_argument('--oracle', required=True, metavar='HOST:PORT')
    made.add_argument('--box', required=True, metavar='HOST:PORT')
    made.add_argument('--seed', type=int, default=1)
    made.add_argument('--count', type=int, default=count, help=counted)
    made.add_argument('--tap', action='store_true', help='(as differential.py: it always speaks TAP)')
    if families:
        made.add_argument('--family', choices=families + ['all'], default='all')
    return made


def show(args):
    return wire.show_line([arg if isinstance(arg, bytes) else str(arg).encode() for arg in args])


def passes(number, name, seed, body):
    """One run: body(history) notes (who, command) in the list and returns a remark; it raises Different if it fails."""
    history = []
    try:
        print('ok %d - %s: %s' % (number, name, body(history)), flush=True)
        return True
    except (Different, wire.Broken, OSError) as error:
        print('not ok %d - %s, seed %d' % (number, name, seed))
        for who, args in history[-SHOWN:]:
            print('# %s: %s' % (who, show(args)[:1500]))
        for line in str(error).splitlines() or [repr(error)]:
            print('# ' + line[:1500], flush=True)
        return False


def run_all(runs, seed):
    """Of (name, body); the exit status."""
    good = [passes(number, name, seed, body) for number, (name, body) in enumerate(runs, 1)]
    print('1..%d' % len(good))
    return 0 if all(good) else 1
