"""debugger.py: as much of the GDB remote protocol (GDB's manual, appendix E) as it takes to make the CPUs of a guest hang: QEMU's stub
stops the machine when somebody connects, and lets it go on when he leaves."""
import socket

RIP = 16  # number of amd64's register: 16 general ones of 8 bytes lie before it, 4 bytes of flags behind it, and 4 of CS
INTERRUPTS = 1 << 9
JUMP_TO_ITSELF = "ebfe"
HALT_AND_AGAIN = "f4ebfd"  # takes nothing of this machine's processors, but is the kernel's alone


class Debugger:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        self.ask("qSupported:multiprocess+;vContSupported+")

    def ask(self, text):
        """The answer to a packet; RuntimeError if it is a refusal."""
        body = text.encode()
        self.socket.sendall(b"$%s#%02x" % (body, sum(body) & 255))
        answer = self.packet(text)
        while answer.startswith("T"):  # that the machine has stopped, which nobody asked
            answer = self.packet(text)
        if answer == "" or answer.startswith("E"):
            raise RuntimeError(f"{text}: {answer}")
        return answer

    def packet(self, text):
        byte = self.stream.read(1)
        while byte != b"$":
            if byte == b"":
                raise RuntimeError(f"{text}: the stub has gone")
            byte = self.stream.read(1)
        answer = bytearray()
        while (byte := self.stream.read(1)) != b"#":
            answer += byte
        self.stream.read(2)  # the sum: a Unix socket loses nothing
        self.socket.sendall(b"+")
        return answer.decode()

    def threads(self):
        """Names of the CPUs."""
        found, answer = [], self.ask("qfThreadInfo")
        while answer.startswith("m"):
            found += answer[1:].split(",")
            answer = self.ask("qsThreadInfo")
        return found

    def hang(self, cpu):
        """In an endless loop, where it is, with interrupts off."""
        self.ask(f"Hg{cpu}")
        registers = bytearray.fromhex(self.ask("g"))
        rip = int.from_bytes(registers[RIP * 8:RIP * 8 + 8], "little")
        flags = int.from_bytes(registers[RIP * 8 + 8:RIP * 8 + 12], "little") & ~INTERRUPTS
        in_kernel = registers[RIP * 8 + 12] & 3 == 0
        loop = HALT_AND_AGAIN if in_kernel else JUMP_TO_ITSELF
        self.ask(f"M{rip:x},{len(loop) // 2}:{loop}")
        registers[RIP * 8 + 8:RIP * 8 + 12] = flags.to_bytes(4, "little")
        self.ask("G" + registers.hex())

    def leave(self):
        self.ask("D;1")
        self.socket.close()
