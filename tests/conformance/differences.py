"""differences.py: where replies may differ from the oracle's, and why. Everything else must be equal byte for byte.

Two kinds: what depends on the clock or on chance differs between any two servers; and what we do otherwise on
purpose (we answer as Redis 7.2, the oracle is 7.0.15). Each rule: words of the command (a prefix), a reason, and a
function of the two replies that says whether the difference is the one meant."""
import re

import dumps


def both_int_within(slack):
    def rule(args, a, b):
        return a[0] == b[0] == ':' and abs(a[1] - b[1]) <= slack
    return rule


def same_members(args, a, b):
    """Arrays or sets with the same elements in any order."""
    return a[0] == b[0] and a[0] in '*~' and a[1] is not None and sorted(map(repr, a[1])) == sorted(map(repr, b[1]))


def same_pairs(args, a, b):
    """Maps, or arrays of keys and values by turns, in any order."""
    if a[0] != b[0] or a[0] not in '*%' or len(a[1]) != len(b[1]):
        return False
    pairs = [[repr(x[1][i:i + 2]) for i in range(0, len(x[1]), 2)] for x in (a, b)]
    return sorted(pairs[0]) == sorted(pairs[1])


def scan_of_pairs(args, a, b):
    """HSCAN, ZSCAN: one page that is all of it, or any page."""
    if not scan_page(args, a, b):
        return False
    return args[2] != b'0' or a[1][0][1] != b'0' or b[1][0][1] != b'0' or same_pairs(args, a[1][1], b[1][1])


def scan_of_members(args, a, b):
    if not scan_page(args, a, b):
        return False
    return args[2] != b'0' or a[1][0][1] != b'0' or b[1][0][1] != b'0' or same_members(args, a[1][1], b[1][1])


def chosen(args, a, b):
    """Elements by chance: as many of the same kind; the same ones if all were asked for."""
    if a[0] not in '*~' or a[0] != b[0]:
        return a[0] == b[0] == '$' and (a[1] is None) == (b[1] is None)
    if len(a[1]) != len(b[1]) or not same_shape(args, a, b):
        return False
    if len(args) < 3 or args[2] != b'1000':
        return True
    return same_members(args, a, b) or same_pairs(args, a, b)


def same_doubles(args, a, b):
    """The same but for the digits of doubles."""
    if a == b:
        return True
    if a[0] != b[0] or a[1] is None or b[1] is None:
        return False
    if isinstance(a[1], list):
        return len(a[1]) == len(b[1]) and all(same_doubles(args, x, y) for x, y in zip(a[1], b[1]))
    try:
        return a[0] in '$,' and float(a[1]) == float(b[1]) and a[1] == b'%.17g' % float(b[1])
    except ValueError:
        return False


def scan_of_scores(args, a, b):
    """Pages in the order of a table, scores to 15 digits."""
    def rounded(x):
        words = [w[1] for w in x[1][1][1]]
        return ('*', [x[1][0], ('*', [w if i % 2 == 0 else b'%.15g' % float(w) for i, w in enumerate(words)])])
    if not scan_page(args, a, b):
        return False
    return args[2] != b'0' or a[1][0][1] != b'0' or b[1][0][1] != b'0' or same_pairs(args, rounded(a)[1][1], rounded(b)[1][1])


def chosen_members(args, a, b):
    return chosen(args, a, b) if a[0] != '*' or len(args) < 3 or args[2] != b'1000' else same_doubles(args, a, b)


def other_of_equals(args, a, b):
    """COUNT sorts partly, and in another order what is equally far."""
    return b'COUNT' in [w.upper() for w in args] and same_shape(args, a, b) and len(a[1] or []) == len(b[1] or []) and a[0] == '*'


def with_score(args, a, b):
    return len(args) == 4 and a[0] == '-' and a[1].startswith(b'ERR wrong number of arguments')


def same_shape(args, a, b):
    """The same types all the way down; sizes and values are free."""
    if a[0] != b[0] or (a[1] is None) != (b[1] is None):
        return False
    return not isinstance(a[1], list) or all(same_shape(args, x, y) for x, y in zip(a[1], b[1]))


def scan_page(args, a, b):
    """SCAN's cursor and page depend on the hash table; whole iterations are compared by @scan instead."""
    return a[0] == b[0] == '*' and len(a[1]) == len(b[1]) == 2 and a[1][0][0] == b[1][0][0] == '$'


def expiry_far_away(args, a, b):
    """Ours ends at 2^48 - 1 ms (the year 10889)."""
    latest = (1 << 48) - 1
    scale = 1000 if args[0].upper() in (b'TTL', b'EXPIRETIME') else 1
    return a[0] == b[0] == ':' and a[1] > b[1] and b[1] * scale >= latest - 10 ** 14


def later_than_far_away(args, a, b):
    """GT and LT between two times beyond that one: to us they are the same."""
    if a != (':', 1) or b != (':', 0):
        return False
    at = int(args[2]) * (1 if args[0].upper().startswith(b'P') else 1000)
    return {w.upper() for w in args[3:]} & {b'GT', b'LT'} and at >= (1 << 48) - 10 ** 14


def shared_integer(args, a, b):
    return a == (':', 2147483647) and b == (':', 1)


def int_for_embstr(args, a, b):
    return a == ('$', b'embstr') and b == ('$', b'int')


def unsorted_set(args, a, b):
    by = [pattern for word, pattern in zip(args[2:], args[3:]) if word.upper() == b'BY']
    part = b'LIMIT' in [word.upper() for word in args] and a[0] == b[0] == '*' and len(a[1]) == len(b[1])
    return any(b'*' not in pattern for pattern in by) and (part or same_members(args, a, b))


def lowest_rank(args, a, b):
    return b'-9223372036854775808' in args and b[0] == '-'


def listpack_for_quicklist(args, a, b):
    return a == ('$', b'quicklist') and b == ('$', b'listpack')


def listpack_for_hashtable(args, a, b):
    return a == ('$', b'hashtable') and b == ('$', b'listpack')


def both_now(args, a, b):
    """IDs that the clock made."""
    return b'*' in args and a[0] == b[0] == '$' and len(a[1]) == len(b[1]) and a[1][13:] == b[1][13:] == b'-0'


def says(text):
    """Ours is this error."""
    return lambda args, a, b: b[0] == '-' and text in b[1]


def stream_facts(args, a, b):
    """XINFO but for the count of the tree's nodes, the consumers' times, and consumers without anything pending."""
    return a[0] == b[0] and a[0] in '*%' and without_times(a) == without_times(b)


def nodes(tree):
    """How many nodes XINFO says a stream has, and the rest of what it says."""
    at = [i for i, item in enumerate(tree[1]) if item == ('$', b'radix-tree-keys')] if isinstance(tree[1], list) else []
    return (tree[1][at[0] + 1][1], (tree[0], tree[1][:at[0]] + tree[1][at[0] + 2:])) if at else (0, tree)


def fewer_nodes(args, a, b):
    """XINFO of a stream that has fewer nodes here. As many as it has to be? batches.py asks when nothing changes any more."""
    (theirs, a), (ours, b) = nodes(a), nodes(b)
    return ours < theirs and stream_facts(args, without_first(a), without_first(b))


def without_first(tree):
    """An empty stream without the ID of its first entry: Redis has 2^64-1 where a node is left, with deleted ones alone."""
    if tree[1][:2] != [('$', b'length'), (':', 0)]:
        return tree
    at = tree[1].index(('$', b'recorded-first-entry-id'))
    return tree[0], tree[1][:at] + tree[1][at + 2:]


def without_times(tree):
    if not isinstance(tree[1], list):
        return tree
    items = [without_times(item) for item in tree[1]]
    kept = []
    while items:
        item = items.pop(0)
        if item in FREE_FIELDS or (item == ('$', b'consumers') and items[0][0] == ':'):
            items.pop(0)
        elif not idle_consumer(item):
            kept.append(item)
    if len(kept) in (3, 4) and kept[0][0] == '$' and kept[-1][0] == kept[-2][0] == ':': # an entry that is pending
        kept[-2] = (':', 0)
    return (tree[0], kept)


def idle_consumer(item):
    words = item[1]
    if not isinstance(words, list) or len(words) < 4 or words[0] != ('$', b'name') or ('$', b'last-delivered-id') in words:
        return False
    return words[2] in (('$', b'pending'), ('$', b'pel-count')) and words[3] == (':', 0)


FREE_FIELDS = [('$', b'radix-tree-nodes'), ('$', b'seen-time'), ('$', b'active-time'), ('$', b'idle'), ('$', b'inactive')]


def same_dump(args, a, b):
    """Dumps of one value."""
    return a[0] == b[0] == '$' and a[1] is not None and b[1] is not None and dumps.value(a[1]) == dumps.value(b[1])


def hello(args, a, b):
    """Equal but for version, id and role."""
    if not same_shape(args, a, b) or not isinstance(a[1], list):
        return False
    names = [(x, y) for x, y in zip(a[1], b[1])]
    return all(x == y or (x[0] in '$:' and i % 2 == 1 and a[1][i - 1][1] in (b'version', b'id')) for i, (x, y) in enumerate(names))


def in_any_order(args, a, b):
    """Whatever lists there are, in other orders."""
    def sorted_tree(tree):
        return (tree[0], sorted(map(sorted_tree, tree[1]), key=repr)) if isinstance(tree[1], list) else tree
    return sorted_tree(a) == sorted_tree(b)


def keys_of_rank(args, a, b):
    return args[2].upper() in (b'ZRANK', b'ZREVRANK') and len(args) == 6 and a[0] == '-'


def merged_alone(args, a, b):
    return args[2].upper() == b'PFMERGE' and len(args) == 4 and a[0] == '-'


def command_rows(args, a, b):
    """Sets in any order, and one tip more."""
    def without(tree):
        return (tree[0], [without(x) for x in tree[1] if x[1] != b'response_policy:special']) if isinstance(tree[1], list) else tree
    return in_any_order(args, without(a), without(b))


def longer_help(args, a, b):
    """The same first line, and at least as many."""
    return a[0] == b[0] == '*' and len(b[1]) >= len(a[1]) and a[1][0] == b[1][0]


OTHER_COMMANDS = '7.2 and expiry of hash fields bring more commands; replication and modules are not there'
EMPTY_NODES = 'RESTORE brings nodes all of whose entries are deleted: here they are no nodes'
RULES = [
    (('TTL',), 'clock: the two commands run some ms apart', both_int_within(1)),
    (('PTTL',), 'clock', both_int_within(1500)),
    (('EXPIRETIME',), 'clock, after a relative EXPIRE', both_int_within(1)),
    (('PEXPIRETIME',), 'clock, after a relative EXPIRE', both_int_within(1500)),
    (('OBJECT', 'IDLETIME'), 'the integers 0..9999 that Redis shares have one clock for all keys', same_shape),
    (('TTL',), 'an expiry is kept in 48 bits', expiry_far_away),
    (('PTTL',), 'an expiry is kept in 48 bits', expiry_far_away),
    (('EXPIRETIME',), 'an expiry is kept in 48 bits', expiry_far_away),
    (('PEXPIRETIME',), 'an expiry is kept in 48 bits', expiry_far_away),
    *(((name,), 'an expiry is kept in 48 bits', later_than_far_away) for name in ('EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT')),
    (('TIME',), 'clock', same_shape),
    (('KEYS',), 'order of the hash table', same_members),
    (('SCAN',), 'order of the hash table; see @scan', scan_page),
    (('RANDOMKEY',), 'chance', same_shape),
    (('HKEYS',), 'order of the hash table', same_members),
    (('HVALS',), 'order of the hash table', same_members),
    (('HGETALL',), 'order of the hash table', same_pairs),
    (('HSCAN',), 'order of the hash table', scan_of_pairs),
    (('HRANDFIELD',), 'chance', chosen),
    (('ZRANK',), '7.2 has WITHSCORE', with_score),
    (('ZREVRANK',), '7.2 has WITHSCORE', with_score),
    (('ZRANDMEMBER',), 'chance', chosen_members),
    (('ZSCAN',), 'order of the hash table; doubles as 7.2 prints them', scan_of_scores),
    (('GEOSEARCH',), 'equal distances in another order', other_of_equals),
    (('GEORADIUS',), 'equal distances in another order', other_of_equals),
    (('GEORADIUS_RO',), 'equal distances in another order', other_of_equals),
    (('GEORADIUSBYMEMBER',), 'equal distances in another order', other_of_equals),
    (('GEORADIUSBYMEMBER_RO',), 'equal distances in another order', other_of_equals),
    (('SMEMBERS',), 'order of the hash table', same_members),
    (('SPOP',), 'chance', chosen),
    (('SSCAN',), 'order of the hash table', scan_of_members),
    (('SRANDMEMBER',), 'chance', chosen),
    (('SINTER',), 'order of the hash table', same_members),
    (('SUNION',), 'order of the hash table', same_members),
    (('SDIFF',), 'order of the hash table', same_members),
    (('HELLO',), 'version and ID', hello),
    (('CLIENT', 'ID'), 'chance', same_shape),
    (('MEMORY', 'USAGE'), 'our bytes', same_shape),
    (('COMMAND', 'INFO'), 'order of the hash table; 7.2 has the tip response_policy:special', command_rows),
    (('COMMAND',), OTHER_COMMANDS, lambda args, a, b: args[1:] in ([], [b'INFO'], [b'info']) and a[0] == b[0]),
    (('COMMAND', 'GETKEYS'), '7.2 has WITHSCORE', keys_of_rank),
    (('COMMAND', 'GETKEYSANDFLAGS'), '7.2 has WITHSCORE', keys_of_rank),
    (('COMMAND', 'GETKEYS'), 'nothing but the destination: Redis calls the keys that could follow invalid', merged_alone),
    (('COMMAND', 'GETKEYSANDFLAGS'), 'nothing but the destination: Redis calls the keys that could follow invalid', merged_alone),
    (('PFADD',), 'a broken value: ours is looked at as a whole before any of it is changed', says(b'INVALIDOBJ')),
    (('ACL', 'LIST'), '7.2 tells sanitize-payload, too', lambda args, a, b: a[0] == b[0] and len(a[1]) == len(b[1])),
    (('ACL', 'GETUSER'), '7.2 tells sanitize-payload, too', lambda args, a, b: a[0] == b[0] and len(a[1] or []) == len(b[1] or [])),
    (('ACL', 'GENPASS'), 'chance', lambda args, a, b: a[0] == b[0] == '$' and len(a[1]) == len(b[1])),
    (('CLUSTER', 'GETKEYSINSLOT'), 'order of the hash table', same_members),
    (('CLUSTER', 'LINKS'), 'workers need no links', lambda args, a, b: a[0] == b[0] == '*' and not b[1]),
    (('CLUSTER', 'HELP'), '7.2 has more sub-commands than 7.0', longer_help),
    (('ACL', 'CAT'), 'order of the hash table', same_members),
    (('CLIENT', 'HELP'), '7.2 has more sub-commands than 7.0', longer_help),
    (('XINFO',), 'our tree of nodes is none of letters; 7.2 tells when a consumer was active, and makes it '
     'when there is nothing to read, too; clock', stream_facts),
    (('XINFO',), EMPTY_NODES, fewer_nodes),
    (('XGROUP', 'CREATECONSUMER'), '7.2 makes a consumer when there is nothing to read, too', both_int_within(1)),
    (('XPENDING',), 'clock', stream_facts),
    (('XADD',), 'clock', both_now),
    (('DUMP',), 'order of the hash table, cuts of a list, tombstones of a stream, times of its consumers', same_dump),
    (('XADD',), '7.0 takes the last sequence number for lack of room', says(b'equal or smaller than the target stream top')),
    (('XREAD',), '7.2 refuses a timeout beyond the end of time', says(b'timeout is out of range')),
    (('XSETID',), '7.2 refuses an ID below what was deleted', says(b'smaller than current max_deleted_entry_id')),
    (('COMMAND', 'COUNT'), OTHER_COMMANDS, same_shape),
    (('OBJECT', 'REFCOUNT'), 'Redis shares the integers 0..9999 between keys; our values are never shared',
     shared_integer),
    (('OBJECT', 'ENCODING'), '7.2 keeps a small list in a listpack, 7.0 any list in a quicklist', listpack_for_quicklist),
    (('SORT',), 'the order that a set has by itself', unsorted_set),
    (('SORT_RO',), 'the order that a set has by itself', unsorted_set),
    (('LPOS',), '7.2 refuses the rank -2^63, which 7.0 cannot negate', lowest_rank),
    (('OBJECT', 'ENCODING'), 'INCRBYFLOAT keeps a whole number as an integer, Redis as its text', int_for_embstr),
    (('OBJECT', 'ENCODING'), 'small sets are listpacks since 7.2', listpack_for_hashtable),
]

RULES += [((name,), '7.2 tells a timeout without end from a negative one', says(b'timeout is out of range'))
          for name in ('BLPOP', 'BRPOP', 'BLMOVE', 'BRPOPLPUSH', 'BLMPOP', 'BZPOPMIN', 'BZPOPMAX', 'BZMPOP')]
# What commands before have left behind.
ENCODINGS = [
    (b'skiplist', b'listpack', {b'SORT', b'SORT_RO'}, 'SORT leaves a small sorted set unpacked in Redis'),
    (b'hashtable', b'intset', {b'SDIFFSTORE'}, 'SDIFFSTORE: the result may have had other elements for a moment in Redis'),
]
RULES_OF = {}
for row in RULES:
    RULES_OF.setdefault(row[0][0], []).append(row)


def same(args, oracle, box, one_clock=False, said=None):
    """None if the replies differ; else '' (equal) or the reason of the rule that allows the difference. With one clock for
    both servers, times must be equal too. said: the commands that came before, if that is known."""
    if oracle.raw == box.raw:
        return ''
    for theirs, ours, commands, reason in ENCODINGS:
        if oracle.tree == ('$', theirs) and box.tree == ('$', ours) and not commands.isdisjoint(said or ()):
            return reason
    if args[0][:1].upper() in (b'Z', b'G', b'B') and same_doubles(args, oracle.tree, box.tree):
        return 'doubles as 7.2 prints them, with as few digits as tell them'
    words = [a.upper().decode('latin1') for a in args[:2]]
    for prefix, reason, rule in RULES_OF.get(words[0], ()):
        if (one_clock and reason.startswith('clock')) or (reason == EMPTY_NODES and said is not None and b'RESTORE' not in said):
            continue
        if tuple(words[:len(prefix)]) == prefix and rule(args, oracle.tree, box.tree):
            return reason
    return None


# -- what a user may not (acl.py): the verdict must be the same, the text is that of 7.2

NEW_TEXTS = [
    (rb"User \S+ has no permissions to run the '([^']*)' command", rb"this user has no permissions to run the '\1' command"),
    (rb'NOPERM No permissions to access a (key|channel)', rb'NOPERM this user has no permissions to access one of the \1s used as arguments'),
    (rb"User \S+ has no permissions to access the '(.*)' (key|channel)", rb"this user has no permissions to access the '\1' \2"),
]
MOVED = {b'wait'}  # in @blocking as well since 7.2
SCRIPTED = [(b'to run the', b'run this command or subcommand'), (b'a key', b'access at least one of the keys mentioned in the command arguments'),
            (b'a channel', b'publish to the channel mentioned in the command')]


def older(text):
    """What is said of rights, as 7.0 puts it."""
    for pattern, old in NEW_TEXTS:
        text = re.sub(pattern, old, text, flags=re.S)
    hit = re.match(rb'-NOPERM ACL failure in script: (.*?) script: (.*)', text, re.S)
    if hit:
        said = next(old for new, old in SCRIPTED if new in hit[1])
        return b"-ERR The user executing the script can't " + said + b' script: ' + hit[2]
    return text


def opens_again(rules):
    """Rules that open a selector while one is open: 7.0 forgets the first one, 7.2 takes it as a part, which is an error. And a zero byte in an
    open one: 7.0 forgets the rest of that word. Users would not be the same any more, so acl.py sets none by such rules."""
    is_open = False
    for rule in rules:
        if is_open and b'\0' in rule:
            return True
        if rule[:1] == b'(' and rule[-1:] != b')':
            if is_open:
                return True
            is_open = True
        elif is_open and rule[-1:] == b')':
            is_open = False
    return False


def stale_errno(args, a, b):
    """7.0 asks errno whether SORT could read a number, and nobody has cleared it since something else was out of range."""
    return args[0].upper() in (b'SORT', b'SORT_RO') and a == ('-', b"ERR One or more scores can't be converted into double") and b[0] in '*:'


def of_rights(args, oracle, box, newer):
    """As same(), of users, rules and what they may. newer: commands that take more arguments since 7.2."""
    if oracle.raw == box.raw:
        return ''
    denied = any(text in reply.raw for reply in (oracle, box) for text in (b'NOPERM', b'The user executing'))
    if args[:2] == [b'ACL', b'DRYRUN'] and oracle.tree[0] == box.tree[0] == '$':
        said = older(box.tree[1])
        if said[:1].upper() + said[1:] == oracle.tree[1]:
            return '7.2 names the user in a refusal'
    elif denied and box.raw[:1] == oracle.raw[:1] == b'-' and older(box.raw) == oracle.raw:
        return '7.2 names the user in a refusal'
    wrong = re.match(rb"-ERR wrong number of arguments for '(.*)' command", oracle.raw, re.S)
    if wrong and wrong[1] in newer:
        return 'since 7.2 it takes more arguments'
    if any(word.lower() in MOVED for word in args):
        return 'since 7.2 WAIT is in the category @blocking'
    if any(word.lower() == b'psubscribe' for word in args) and any(b'\0' in word for word in args) and (denied or box.tree[0] == '$'):
        return '7.0 compares the pattern of PSUBSCRIBE up to a zero byte, and so allows more'
    if denied or args[:2] == [b'ACL', b'DRYRUN']:
        return None
    if args[0] == b'EVAL' and b'acl_check_cmd' not in args[1]:
        return "an error of a script's own, or a value: compared elsewhere"
    if args[0].upper() == b'DUMP' and oracle.tree[0] == box.tree[0] == '$' and None not in (oracle.tree[1], box.tree[1]):
        return 'an encoding that depends on what came before: compared elsewhere'
    if stale_errno(args, oracle.tree, box.tree):
        return '7.0 refuses to sort numbers after something else was out of range (errno)'
    return same(args, oracle, box, said={b'SORT', b'SDIFFSTORE', b'RESTORE'})
