"""coverage.py: what the random commands leave out. Every command of a server must be made by the grammar, with every word
that its documentation (COMMAND DOCS) knows; what cannot be is in LEFT_OUT, with the reason."""
import grammar
import rules

SAMPLE = 150000
ITSELF = 'what a server says of itself, its clients and its times: scripts and unit tests of our own'
ENDS = 'ends or silences the connection: scripts/connection_*.txt'
OURS = 'lists what we have'
NEWER = 'the oracle does not know it yet'
ELSEWHERE = 'needs other servers or files'
LEFT_OUT = {
    'quit': ENDS, 'shutdown': ENDS, 'monitor': ENDS, 'client|reply off': ENDS, 'client|reply skip': ENDS,
    'client|kill normal': ENDS, 'client|kill slave': 'master and replica are made', 'pfselftest': 'takes a second',
    'command|docs': 'the texts are those of 7.2', 'module|help': OURS, 'acl|help': OURS, 'command|list': OURS, 'client|pause': ENDS, 'client|unpause': ENDS, 'client|tracking': 'needs several connections: tracking.py',
    'cluster|myshardid': NEWER, 'client|no-touch': NEWER, 'client|setinfo': NEWER, 'waitaof': NEWER,
    'client|info': ITSELF, 'client|list': ITSELF, 'info': ITSELF, 'lastsave': ITSELF, 'lolwut': ITSELF, 'debug': ITSELF, 'config|get': ITSELF,
    'config|set': 'batches.py sends it', 'latency|doctor': ITSELF, 'latency|graph': ITSELF, 'latency|histogram': ITSELF,
    'latency|history': ITSELF, 'latency|latest': ITSELF, 'memory|doctor': ITSELF, 'memory|malloc-stats': ITSELF, 'memory|stats': ITSELF,
    'slowlog|get': ITSELF, 'slowlog|len': ITSELF, 'bgsave': ELSEWHERE, 'save': ELSEWHERE, 'bgrewriteaof': ELSEWHERE, 'failover': ELSEWHERE,
    'migrate': ELSEWHERE, 'replicaof': ELSEWHERE, 'slaveof': ELSEWHERE, 'config|rewrite': ELSEWHERE,
}
LEFT_OUT.update({name: 'acl.py' for name in ('acl|setuser', 'acl|deluser', 'acl|dryrun', 'acl|log')})
SCRIPTS = 'a language: scripts/scripting_*.txt'
LEFT_OUT.update({name: SCRIPTS for name in ('eval', 'evalsha', 'eval_ro', 'evalsha_ro', 'script|debug', 'script|exists', 'script|flush',
                                            'script|help', 'script|kill', 'script|load', 'fcall', 'fcall_ro', 'function|delete', 'function|dump',
                                            'function|flush', 'function|help', 'function|kill', 'function|list', 'function|load', 'function|restore',
                                            'function|stats')})
LEFT_OUT.update({name: 'needs several connections: pubsub.py' for name in (
    'subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe', 'publish', 'spublish', 'pubsub', 'pubsub|channels',
    'pubsub|help', 'pubsub|numpat', 'pubsub|numsub', 'pubsub|shardchannels', 'pubsub|shardnumsub')})
LEFT_OUT.update({name: NEWER for name in (
    'hexpire', 'hpexpire', 'hexpireat', 'hpexpireat', 'hpersist', 'httl', 'hpttl', 'hexpiretime', 'hpexpiretime', 'hgetex', 'hsetex', 'hgetdel')})


def made(count=SAMPLE):
    """Words in upper case that the grammar makes, by command and by command|subcommand."""
    found = {}
    for family in rules.RULES:
        stream = grammar.Grammar('coverage', [family])
        for _ in range(count // len(rules.RULES)):
            for args in stream.commands():
                words = [word.upper().decode('latin1') for word in args]
                for name in (words[0].lower(), '|'.join(words[:2]).lower()):
                    found.setdefault(name, set()).update(words)
    return found


def tokens(arguments):
    """All words of a command's syntax."""
    words = set()
    for argument in arguments[1] or []:
        pairs = dict(zip([item[1] for item in argument[1][0::2]], argument[1][1::2]))
        if b'token' in pairs:
            words.update(pairs[b'token'][1].decode().upper().strip('"').split())
        if b'arguments' in pairs:
            words |= tokens(pairs[b'arguments'])
    return words - {''}


def syntax(connection):
    """Words of the syntax of every command that a server knows, by name in lower case (command|subcommand)."""
    found = {}

    def note(tree):
        for name, doc in zip(tree[1][0::2], tree[1][1::2]):
            facts = dict(zip([item[1] for item in doc[1][0::2]], doc[1][1::2]))
            if b'subcommands' in facts:
                note(facts[b'subcommands'])
            else:
                found[name[1].decode()] = tokens(facts.get(b'arguments', ('*', [])))
    note(connection.command('COMMAND', 'DOCS').tree)
    return found


def missing(connection):
    """Lines that say which command or word no random command has."""
    made_words, lines = made(), []
    for name, words in sorted(syntax(connection).items()):
        if name in LEFT_OUT:
            continue
        if name not in made_words:
            lines.append('no random command %s' % name)
        else:
            lines += ['no random %s with %s' % (name, word) for word in sorted(words - made_words[name])
                      if name + ' ' + word.lower() not in LEFT_OUT]
    return lines
