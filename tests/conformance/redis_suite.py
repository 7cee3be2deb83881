#!/usr/bin/python3
"""redis_suite.py: Redis' own test suite against two external servers at a time, the box and redis-server, and what it
means. Started by redis_suite, which has the box up and the source unpacked.

Every file of unit/ and unit/type is run by itself (a file that stops in the middle takes no other with it), against
both servers, in a copy of the suite's scripts of its own. Files leave settings and keys behind when a test fails:
redis-server is started anew for each, the box gets its settings back, loses its users and is emptied. A test counts for
the box if redis-server passes it in the same run: what needs servers of its own, or fails against the oracle too, says
nothing.

  redis_suite.expect   what each file is expected to do: passes (the default), or loses N
  redis_suite.skip     tests and tags that are not run, each with the reason
  redis_suite.adapt    where 7.2 answers otherwise than the tests of 7.0 want: changes of the box' copy alone
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import wire

HERE = pathlib.Path(__file__).resolve().parent
MODES = {'plain': [], 'singledb': ['--singledb'], 'resp3': [], 'tls': ['--tls'], 'cluster': ['--cluster-mode']}
BOX_TLS_PORT = 6380  # as redis_suite has it
RESULT = re.compile(r'^\[(ok|err|skip|ignore|exception|TIMEOUT|testing)\]:? ?(.*)$')
TEST_SECONDS, FILES_TESTS = 120, 5  # a file has the time of so many tests
KEY_FILE = {b'tls-key-file', b'tls-key-file-pass'}  # one without the other opens nothing
groups = set() # process groups that must not outlive us

# What the copy is changed in, for both servers alike: (file, what, by what, why).
PATCHES = [
    ('tests/support/server.tcl', '[lindex [r config get $param] 1]', '[lindex [r config get $param] end]',
     'RESP3: a map is read as a dict, whose last element is the value as well'),
    ('tests/unit/acl.tcl', 'start_server {tags {"acl external:skip"}} {', 'start_server {tags {"acl"}} {',
     'users can be made on a server that runs already, too; what follows starts servers with files of their own'),
    ('tests/unit/acl-v2.tcl', 'start_server {tags {"acl external:skip"}} {', 'start_server {tags {"acl"}} {', 'likewise'),
]
# 7.0 has no --force-resp3 yet: every connection of the suite begins with HELLO 3 instead.
RESP3 = '''
rename redis redis_of_resp2
proc redis {args} {
    set r [redis_of_resp2 {*}$args]
    if {[llength $args] < 6 || ![lindex $args 5]} {
        $r hello 3
        if {[llength $args] > 2 && [lindex $args 2]} {$r read}
    }
    return $r
}
'''


def stop_all(*_):
    for group in list(groups):
        stop_group(group)
    os._exit(1)


def stop_group(pid):
    """Ends what was started as a session of its own, and whatever that left behind."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    groups.discard(pid)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def rows(path):
    """Lines of a table: columns divided by " | ", '#' begins a comment line."""
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith('#'):
            yield [cell.strip() for cell in re.split(r'\s+\|\s+', line.strip())]


class Expectations:
    def __init__(self, workers=1):
        self.workers = workers
        self.state, self.skip, self.tags = {}, collections.defaultdict(list), []
        adapt = list(rows(HERE / 'redis_suite.adapt'))
        self.adapt = [row for row in adapt if row[0] != 'config']
        self.settings = {name.encode(): value.encode() for kind, name, value, _ in adapt if kind == 'config'}
        for name, state, reason in rows(HERE / 'redis_suite.expect'):
            self.state[name] = (state.split(), reason)
        for name, modes, test, reason in rows(HERE / 'redis_suite.skip'):
            if name == 'tag':
                self.tags.append(test)
            else:
                self.skip[name].append((modes, test, reason))

    def of(self, name):
        return self.state.get(name, (['passes'], ''))

    def skipped(self, name, mode):
        now = {'*', mode} | ({'several'} if self.workers > 1 else set())
        return [test for modes, test, _ in self.skip[name] if now & set(modes.split(','))]


def change(work, name, old, new, table):
    text = (work / name).read_text()
    if old not in text:
        sys.exit(f'redis_suite.py: {name} of this source has no "{old.strip()}" to change: {table} is out of date')
    (work / name).write_text(text.replace(old, new))


def prepare(source, work, mode, adapt, certificates):
    """A copy of the suite's scripts with Debian's programs where it looks for its own."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source / 'tests', work / 'tests', ignore=shutil.ignore_patterns('modules', 'tmp'))
    (work / 'tests' / 'tmp').mkdir()
    (work / 'src').mkdir()
    for program in ('redis-server', 'redis-cli', 'redis-benchmark', 'redis-check-aof'):
        if shutil.which(program):
            (work / 'src' / program).symlink_to(shutil.which(program))
    for name, old, new, _ in PATCHES:
        change(work, name, old, new, 'PATCHES')
    for name, old, new, _ in adapt:
        change(work, name, old, new, 'redis_suite.adapt')
    if mode == 'tls':
        shutil.copytree(certificates, work / 'tests' / 'tls', dirs_exist_ok=True)
    if mode == 'resp3':
        with open(work / 'tests/support/redis.tcl', 'a') as out:
            out.write(RESP3)


def parse(output):
    """{unique test name: (status, text)}; statuses ok, err, skip, ignore, and stopped if the file ended early."""
    found, seen, last = {}, collections.Counter(), None
    if '[ready]' not in output:
        found['(file stopped)'] = ('stopped', 'it did not start: ' + output[-300:])
    for line in output.splitlines():
        hit = RESULT.match(line)
        if not hit:
            if last and not line.startswith(('[', 'Execution time', '***')):
                found[last] = (found[last][0], found[last][1] + '\n' + line)
            continue
        kind, text = hit.groups()
        last = None
        if kind == 'testing':
            continue
        if kind in ('exception', 'TIMEOUT'):
            found['(file stopped)'] = ('stopped', text)
            last = '(file stopped)'
            continue
        name = re.sub(r' \(\d+ ms\)$', '', text)
        if kind == 'err':
            name, _, where = name.rpartition(' in tests/')
            if not where:
                name = '(a block of tests stopped)'
        elif kind == 'ignore':
            name = name.rsplit(': ', 1)[0]
        seen[name] += 1
        if seen[name] > 1:
            name += f' #{seen[name]}'
        found[name] = (kind, text)
        last = name if kind == 'err' else None
    return found


def run_file(work, name, server, mode, skip, tags, seconds, test_seconds):
    # The suite's own server listens 32 below this, does not look whether it may, and tries the port 10000 above too.
    baseport = next(port for port in random.sample(range(20000, 32000), 1000) if is_free(port - 32))
    host, port = server.rsplit(':', 1)
    command = ['tclsh', 'tests/test_helper.tcl', '--host', host, '--port', port, '--single', name, '--clients', '1',
               '--durable', '--timeout', str(test_seconds), '--baseport', str(baseport), '--portcount', '400', *MODES[mode]]
    for test in skip:
        command += ['--skiptest', test]
    if tags:
        command += ['--tags', ' '.join('-' + tag for tag in tags)]
    runner = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, TERM='dumb'), start_new_session=True)
    groups.add(runner.pid)
    try:
        output, _ = runner.communicate(timeout=seconds)
        note = ''
    except subprocess.TimeoutExpired:
        note = f'\n[TIMEOUT]: the file took longer than {seconds} s\n'
        stop_group(runner.pid)
        output, _ = runner.communicate()
    stop_group(runner.pid) # load generators that a failed test left
    return output.decode(errors='replace') + note


class Oracle:
    """A redis-server of its own for each file, on a free port. The suite comes to `address`, we to the port without TLS."""

    def __init__(self, folder, mode):
        self.folder, self.address, self.process = folder, None, None
        self.cluster = mode == 'cluster'  # all slots on one node
        self.tls = mode == 'tls'

    def speak_tls(self, plain):
        """Its options for a second port, which the suite comes to."""
        port = next(port for port in iter(free_port, None) if port != plain)
        self.address = f'127.0.0.1:{port}'
        own = self.folder / 'tests/tls'
        return ['--tls-port', str(port), '--tls-cert-file', str(own / 'server.crt'), '--tls-key-file', str(own / 'server.key'),
                '--tls-ca-cert-file', str(own / 'ca.crt'), '--tls-dh-params-file', str(own / 'redis.dh')]

    def begin(self):
        port = next(port for port in iter(free_port, None) if port < 55536)  # that of a cluster's bus is 10000 higher
        plain = self.address = f'127.0.0.1:{port}'
        self.process = subprocess.Popen(
            ['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir', str(self.folder),
             '--enable-debug-command', 'yes', '--enable-protected-configs', 'yes'] + ['--cluster-enabled', 'yes'] * self.cluster + (self.speak_tls(port) if self.tls else []),
            stdout=subprocess.DEVNULL, start_new_session=True)
        groups.add(self.process.pid)
        for _ in range(200):
            try:
                side = wire.Connection(plain)
                if self.cluster:
                    side.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
                    while b'cluster_state:ok' not in side.command('CLUSTER', 'INFO').raw:
                        time.sleep(0.05)
                return side.close()
            except OSError:
                time.sleep(0.05)
        sys.exit('redis_suite.py: redis-server does not start')

    def end(self):
        stop_group(self.process.pid) # a child that saves for ever as well
        self.process.wait()


class Box:
    """The suite comes to `address`, we to `plain`."""

    def __init__(self, plain, mode, settings):
        self.plain, self.settings = plain, self.read_settings(wire.Connection(plain)) | settings
        self.address = f'{plain.rsplit(":", 1)[0]}:{BOX_TLS_PORT}' if mode == 'tls' else plain

    @staticmethod
    def read_settings(side):
        flat = [item[1] for item in side.command('CONFIG', 'GET', '*').tree[1]]
        return dict(zip(flat[::2], flat[1::2]))

    def begin(self):
        side = wire.Connection(self.plain)
        changed = {name: self.settings[name] for name, value in self.read_settings(side).items() if value != self.settings.get(name)}
        if changed.keys() & KEY_FILE:
            side.command('CONFIG', 'SET', *(word for name in KEY_FILE for word in (name, self.settings.get(name, b''))))
        for name, value in changed.items():
            side.command('CONFIG', 'SET', name, value)
        for user in side.command('ACL', 'USERS').tree[1]:
            if user[1] != b'default':
                side.command('ACL', 'DELUSER', user[1])
        side.command('DEBUG', 'SET-ACTIVE-EXPIRE', '1')  # a file that stops in the middle leaves it off
        side.command('FLUSHALL')
        side.close()

    def end(self):
        pass


def run_all(who, files, mode, opts, expect, results):
    work = opts.work / f'{who}-{mode}'
    prepare(opts.source, work, mode, expect.adapt if who == 'box' else [], opts.certificates)
    server = Oracle(work, mode) if who == 'oracle' else Box(opts.box, mode, expect.settings)
    for name in files:
        kept = opts.cache / f'oracle-{mode}-{name.replace("/", "_")}.json'
        if who == 'oracle' and opts.kept_oracle and kept.exists():
            results[name] = {k: tuple(v) for k, v in json.loads(kept.read_text()).items()
                             if k not in expect.skipped(name, mode)}
            continue
        server.begin()
        started = time.monotonic()
        output = run_file(work, name, server.address, mode, expect.skipped(name, mode), expect.tags,
                          FILES_TESTS * opts.seconds, opts.seconds)
        if opts.verbose:
            print(f'# {mode} {who} {name}: {time.monotonic() - started:.0f} s', flush=True)
        server.end()
        (work / (name.replace('/', '_') + '.log')).write_text(output)
        results[name] = parse(output)
        if who == 'oracle':
            kept.write_text(json.dumps(results[name]))
    if who == 'box':
        server.begin()  # the next mode takes its settings for those of the start
    shutil.rmtree(work / 'tests', ignore_errors=True)


class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def line(self, good, text, notes=(), directive=''):
        self.number += 1
        self.failed += not good
        for note in notes:
            print('# ' + note)
        print(f'{"" if good else "not "}ok {self.number} - {text}{directive}', flush=True)

    def end(self):
        print(f'1..{self.number}')
        return 1 if self.failed else 0


def names_with(results, status):
    return [name for name, (kind, _) in results.items() if kind == status]


def judge(tap, expect, mode, name, box, oracle, verbose):
    """One TAP line for a file; returns (wanted, passed)."""
    wanted = names_with(oracle, 'ok')
    lost = [test for test in wanted if box.get(test, ('', ''))[0] != 'ok']
    passed, total = len(wanted) - len(lost), len(wanted)
    state, reason = expect.of(name)
    text = f'{mode} {name}: {passed} of the {total} tests that redis-server passes'
    if total == 0 and '(file stopped)' in oracle:
        tap.line(False, f'{mode} {name}: redis-server passes nothing', oracle['(file stopped)'][1].splitlines())
        return 0, 0
    if total == 0:
        tap.line(True, f'{mode} {name}', directive=' # SKIP no test of it runs against an external server')
        return 0, 0
    notes = [f'lost: {test}' for test in lost]
    if verbose:
        for test, (kind, detail) in box.items():
            if kind in ('err', 'stopped') and (test in lost or test.startswith('(')):
                notes += [line[:300] for line in detail.splitlines()[:8]]
    if '(file stopped)' in box:
        notes.append('the file stopped: ' + ' '.join(box['(file stopped)'][1].split())[:200])
    if state[0] == 'loses':
        tap.line(len(lost) <= int(state[1]), f'{text}, at most {state[1]} may be lost ({reason})', notes)
    else:
        tap.line(not lost, text, notes)
    return total, passed


def options():
    parser = argparse.ArgumentParser(description='see redis_suite --help')
    parser.add_argument('--source', type=pathlib.Path, required=True)
    parser.add_argument('--cache', type=pathlib.Path, required=True)
    parser.add_argument('--work', type=pathlib.Path, required=True)
    parser.add_argument('--box', required=True)
    parser.add_argument('--certificates', type=pathlib.Path, help='tests/tls of the suite, for mode tls')
    parser.add_argument('--mode', action='append', choices=MODES)
    parser.add_argument('--file', action='append')
    parser.add_argument('--workers', type=int, default=1, help='that the box has')
    parser.add_argument('--seconds', type=int, default=TEST_SECONDS)
    parser.add_argument('--kept-oracle', action='store_true')
    parser.add_argument('--verbose', action='store_true')
    return parser.parse_args()


def suite_files(source):
    listed = re.search(r'set ::all_tests \{(.*?)\}', (source / 'tests/test_helper.tcl').read_text(), re.S).group(1)
    return [name for name in listed.split() if name.startswith('unit/') and name != 'unit/printver']


def main():
    opts = options()
    signal.signal(signal.SIGTERM, stop_all)
    signal.signal(signal.SIGINT, stop_all)
    expect, tap = Expectations(opts.workers), Tap()
    files = opts.file or suite_files(opts.source)
    for mode in opts.mode or ['plain', 'singledb', 'resp3']:
        results = {'box': {}, 'oracle': {}}
        threads = [threading.Thread(target=run_all, args=(who, files, mode, opts, expect, results[who]))
                   for who in ('box', 'oracle')]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = passed = own = 0
        for name in files:
            if name not in results['box'] or name not in results['oracle']:
                tap.line(False, f'{mode} {name}: the run itself failed')
                continue
            wanted, good = judge(tap, expect, mode, name, results['box'][name], results['oracle'][name], opts.verbose)
            total, passed = total + wanted, passed + good
            own += len(names_with(results['box'][name], 'ok'))
        tap.line(True, f'{mode}: redis-server passes {total} tests, the box {passed} of them (and {own - passed} more)')
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
