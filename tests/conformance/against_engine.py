#!/usr/bin/python3
"""against_engine.py ENGINE_SERVER CLOCK_SHIM [differential.py's options]: starts a redis-server and the in-process engine, with one
shard and with four (and small limits of the compact encodings), on free ports of 127.0.0.1, runs differential.py between them, and stops both. Prints TAP."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import batches

SMALL = {'hash-max-listpack-entries': 6, 'hash-max-listpack-value': 20, 'set-max-intset-entries': 6,
         'zset-max-listpack-entries': 6, 'zset-max-listpack-value': 20, 'list-max-listpack-size': 5}
MORE = (('blocking.py', []), ('transactions.py', []), ('roundtrip.py', ['--count', '70']), ('acl.py', ['--count', '1500']))  # their clock goes on by itself
HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    """Until something listens on the port; False if the process ended instead."""
    while process.poll() is None:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def start(command, port, log, clock=None):
    """With the wall clock of a file if clock is (clock_shim, file)."""
    shim = {'LD_PRELOAD': clock[0], 'SHARED_CLOCK': clock[1],
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'} if clock else {}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ, **shim))
    if not wait_for(port, process):
        raise SystemExit('%s ended with status %d' % (command[0], process.returncode))
    return process


def stop(process):
    process.terminate()
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run(script, arguments):
    return subprocess.run(['/usr/bin/python3', os.path.join(HERE, script), '--tap'] + arguments, stdout=subprocess.PIPE, text=True, check=False)


def compare(programs, workers, options, folder):
    """Both servers, one run: its lines, whether all replies were equal, whether the engine ended cleanly (sanitizers
    count)."""
    engine_server, shim = programs
    oracle_port, box_port = free_port(), free_port()
    clock = (shim, os.path.join(folder, 'clock'))
    shared = batches.SharedClock(clock[1])
    log = open(os.path.join(folder, 'engine%d.log' % workers), 'wb')
    limits = SMALL if workers > 1 else {}
    words = [word for name, value in limits.items() for word in ('--' + name, str(value))]
    oracle = start(['redis-server', '--port', str(oracle_port), '--save', '', '--dir', folder, '--enable-debug-command', 'yes'] +
                   words, oracle_port, subprocess.DEVNULL, clock)
    try:
        box = start([engine_server, str(box_port), 'workers %d' % workers, 'enable-debug-command yes'] +
                    ['%s %s' % limit for limit in limits.items()], box_port, log, clock)
        try:
            servers = ['--oracle', '127.0.0.1:%d' % oracle_port, '--box', '127.0.0.1:%d' % box_port]
            results = [run('differential.py', servers + options + ['--clock', clock[1]])]
            with shared.running():
                results += [run(script, servers + arguments) for script, arguments in MORE]
        finally:
            status = stop(box)
    finally:
        stop(oracle)
        log.close()
    lines = [line for result in results for line in result.stdout.splitlines()]
    if status != 0:
        lines += ['# ' + line for line in open(log.name, errors='replace').read().splitlines()[-20:]]
    return lines, all(result.returncode == 0 for result in results), status == 0


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    if not shutil.which('redis-server'):
        print('1..1\nok 1 - replies as redis-server\'s # SKIP no redis-server')
        return 0
    good, count = True, 0
    with tempfile.TemporaryDirectory(prefix='sluice-conformance-') as folder:
        for workers in (1, 4):
            lines, equal, clean = compare(sys.argv[1:3], workers, sys.argv[3:], folder)
            for line in lines:
                if line.startswith(('ok ', 'not ok ')):
                    count += 1
                    state, name = line.split(' - ', 1)
                    print('%s %d - %s, %d shards' % ('ok' if state[0] == 'o' else 'not ok', count, name, workers))
                elif line.startswith('#'):
                    print(line)
            count += 1
            print('%s %d - engine with %d shards ends cleanly' % ('ok' if clean else 'not ok', count, workers))
            good = good and equal and clean
    print('1..%d' % count)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
