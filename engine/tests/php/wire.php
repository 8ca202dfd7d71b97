<?php
// HTTP and WebSocket on raw sockets.

declare(strict_types=1);

const PATIENCE_S = 10.0;

/** Bytes of a TCP connection. */
final class Wire
{
    /** @var resource */
    private $socket;
    private string $unread = '';

    public function __construct(string $address)
    {
        $socket = stream_socket_client("tcp://$address", $code, $why, PATIENCE_S);
        $socket !== false || throw new RuntimeException("no connection to $address: $why");
        stream_set_blocking($socket, false);
        $this->socket = $socket;
    }

    public function write(string $bytes): void
    {
        $end = microtime(true) + PATIENCE_S;
        while ($bytes !== '') {
            $written = fwrite($this->socket, $bytes);
            $bytes = substr($bytes, (int) $written);
            microtime(true) < $end || throw new RuntimeException('the server does not read');
        }
    }

    /** So many bytes, taken off; null if they do not come in time. */
    public function read(int $count, float $end): ?string
    {
        if (!$this->waitFor(fn () => strlen($this->unread) >= $count, $end)) {
            return null;
        }
        $bytes = substr($this->unread, 0, $count);
        $this->unread = substr($this->unread, $count);
        return $bytes;
    }

    /** The head of an HTTP message, without the empty line. */
    public function readHead(): string
    {
        $end = microtime(true) + PATIENCE_S;
        $isThere = $this->waitFor(fn () => str_contains($this->unread, "\r\n\r\n"), $end);
        $isThere || throw new RuntimeException("no head of a response in time: $this->unread");
        [$head, $this->unread] = explode("\r\n\r\n", $this->unread, 2);
        return $head;
    }

    public function isClosed(): bool
    {
        return feof($this->socket);
    }

    public function close(): void
    {
        fclose($this->socket);
    }

    private function waitFor(Closure $isThere, float $end): bool
    {
        while (!$isThere()) {
            $left = $end - microtime(true);
            if ($left <= 0.0 || feof($this->socket)) {
                return false;
            }
            $read = [$this->socket];
            $none = null;
            stream_select($read, $none, $none, (int) $left, (int) (fmod($left, 1.0) * 1e6));
            $this->unread .= (string) fread($this->socket, 65_536);
        }
        return true;
    }
}

/** A response. */
final class Response
{
    public function __construct(
        public readonly int $status,
        /** @var array<string, string> by names in lower case */
        public readonly array $headers,
        public readonly string $body,
    ) {
    }

    public function json(): mixed
    {
        return json_decode($this->body, true, flags: JSON_THROW_ON_ERROR);
    }
}

/** Requests to a server, on one connection as long as it stays open. */
final class Http
{
    public int $connections = 0;
    private ?Wire $wire = null;

    public function __construct(private readonly string $address)
    {
    }

    /** @param array<string, string> $headers */
    public function request(string $method, string $target, string $body = '', array $headers = []): Response
    {
        if ($this->wire === null || $this->wire->isClosed()) {
            $this->wire = new Wire($this->address);
            $this->connections++;
        }
        $lines = ["$method $target HTTP/1.1", "Host: $this->address"];
        foreach ($headers as $name => $value) {
            $lines[] = "$name: $value";
        }
        if ($body !== '' || $method === 'POST') {
            $lines[] = 'Content-Length: ' . strlen($body);
        }
        $this->wire->write(implode("\r\n", $lines) . "\r\n\r\n$body");
        return read_response($this->wire);
    }
}

function read_response(Wire $wire): Response
{
    $lines = explode("\r\n", $wire->readHead());
    $status = (int) explode(' ', (string) array_shift($lines))[1];
    $headers = [];
    foreach ($lines as $line) {
        [$name, $value] = explode(':', $line, 2);
        $headers[strtolower($name)] = trim($value);
    }
    $length = (int) ($headers['content-length'] ?? '0');
    $body = $wire->read($length, microtime(true) + PATIENCE_S);
    $body !== null || throw new RuntimeException('the body of a response does not come');
    return new Response($status, $headers, $body);
}

/** A WebSocket, client side. */
final class WebSocket
{
    private const TEXT = 1;
    private const CLOSE = 8;
    private const PING = 9;
    private const PONG = 10;

    public ?int $closeCode = null;
    private Wire $wire;

    public function __construct(string $address, string $target)
    {
        $this->wire = new Wire($address);
        $key = base64_encode(random_bytes(16));
        $this->wire->write(
            "GET $target HTTP/1.1\r\nHost: $address\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: $key\r\n\r\n"
        );
        $head = $this->wire->readHead();
        $accept = base64_encode(sha1($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11', true));
        $isOpen = str_starts_with($head, 'HTTP/1.1 101 ') && str_contains($head, $accept);
        $isOpen || throw new RuntimeException("no WebSocket: $head");
    }

    public function send(string $text): void
    {
        $this->sendFrame(self::TEXT, $text);
    }

    /** The next text that comes in time, or null. Pings are answered. */
    public function receive(float $end): ?string
    {
        while (true) {
            $head = $this->wire->read(2, $end);
            if ($head === null) {
                return null;
            }
            $length = ord($head[1]);
            if ($length >= 126) {
                $long = (string) $this->wire->read($length === 126 ? 2 : 8, $end);
                $length = unpack($length === 126 ? 'n' : 'J', $long)[1];
            }
            $payload = (string) $this->wire->read($length, $end);
            switch (ord($head[0]) & 0x0f) {
                case self::TEXT:
                    return $payload;
                case self::PING:
                    $this->sendFrame(self::PONG, $payload);
                    break;
                case self::CLOSE:
                    $this->closeCode = unpack('n', $payload)[1];
                    return null;
            }
        }
    }

    public function close(): void
    {
        $this->wire->close();
    }

    private function sendFrame(int $opcode, string $payload): void
    {
        $length = strlen($payload);
        $head = chr(0x80 | $opcode) . match (true) {
            $length < 126 => chr(0x80 | $length),
            $length < 65_536 => chr(0x80 | 126) . pack('n', $length),
            default => chr(0x80 | 127) . pack('J', $length),
        };
        $mask = random_bytes(4);
        $this->wire->write($head . $mask . ($payload ^ str_pad('', $length, $mask)));
    }
}
