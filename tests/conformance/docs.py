#!/usr/bin/python3
"""What COMMAND DOCS of a redis-server and of a box say of each command, but for the words: which fields there are, versions, groups
and flags. The words are the box's own. Prints TAP."""
import sys

import several
import wire
from several import Different

WORDS = {'summary', 'complexity', 'replaced_by', 'arguments'}


def pairs(tree):
    """A map, in RESP2 a flat array, by name."""
    items = tree[1]
    return {items[i][1].decode(): items[i + 1] for i in range(0, len(items), 2)}


def facts(docs):
    """By the full names of commands and sub-commands: field and value, and (version, ...) of the history."""
    found = {}
    for name, tree in pairs(docs).items():
        fields = pairs(tree)
        subs = fields.pop('subcommands', None)
        history = fields.pop('history', None)
        found[name] = {field: value for field, value in fields.items() if field not in WORDS}
        found[name]['history'] = [entry[1][0][1].decode() for entry in history[1]] if history else []
        if history and not all(entry[1][1][1] for entry in history[1]):
            raise Different('%s: a change without a word' % name)
        if subs:
            found.update(facts(subs))
    return found


def compare(options, field, _):
    ours, theirs = (facts(wire.Connection(address).command('COMMAND', 'DOCS').tree) for address in (options.box, options.oracle))
    both = sorted(set(ours) & set(theirs))
    unlike = ['%s: box %r, oracle %r' % (name, ours[name].get(field), theirs[name].get(field)) for name in both
              if ours[name].get(field) != theirs[name].get(field)]
    told = [name for name in both if theirs[name].get(field)]
    if unlike or not told:
        raise Different('\n'.join(unlike) or 'nothing was compared')
    return '%d commands, of %d that both have' % (len(told), len(both))


def main():
    options = several.parser(__doc__, 1, '').parse_args()
    return several.run_all([('COMMAND DOCS: %s' % field, lambda history, field=field: compare(options, field, history))
                            for field in ('history',)], options.seed)


if __name__ == '__main__':
    sys.exit(main())
