<?php
// The built server as a child process: one app, the sample endpoints, and as many shards as CORECAST_SHARDS says.

declare(strict_types=1);

const HOST = '127.0.0.1';
const APP_ID = '1';
const APP_KEY = 'workbunny';
const APP_SECRET = 'U2FsdGVkX1+vlfFH8Q9XdZ9t9h2bABGYAZltEYAX6UM=';

/** Dies with its test, and must end with exit code 0 when it is told to. */
final class Server
{
    private const START_S_MAX = 15.0;
    private const STOP_S_MAX = 20.0;

    private const PORTS_TRIED_MAX = 5;

    public int $port;
    public readonly int $shards;
    private string $folder;
    /** @var resource */
    private $process;

    public function __construct()
    {
        $this->shards = (int) (getenv('CORECAST_SHARDS') ?: '1');
        $this->folder = sys_get_temp_dir() . '/corecast-php-' . bin2hex(random_bytes(6));
        mkdir($this->folder, 0700);
        for ($tries = 0; $tries < self::PORTS_TRIED_MAX; $tries++) {
            if ($this->starts()) {
                return;
            }
        }
        throw new RuntimeException("the server does not start: {$this->log()}");
    }

    /** Another program may take the port before the server does. */
    private function starts(): bool
    {
        $this->port = free_port();
        file_put_contents("$this->folder/corecast.toml", $this->settings());
        $binary = getenv('CORECAST_BIN') ?: dirname(__DIR__, 3) . '/target/release/corecast';
        $command = ['setpriv', '--pdeathsig', 'KILL', $binary, 'serve', '--config', "$this->folder/corecast.toml"];
        $log = ['file', "$this->folder/log", 'w'];
        $process = proc_open($command, [['file', '/dev/null', 'r'], $log, $log], $pipes);
        $process !== false || throw new RuntimeException('the server cannot be started');
        $this->process = $process;
        $end = microtime(true) + self::START_S_MAX;
        while (!$this->isReady()) {
            if (!proc_get_status($this->process)['running']) {
                return false;
            }
            microtime(true) < $end || throw new RuntimeException("the server is not ready: {$this->log()}");
            usleep(20_000);
        }
        return true;
    }

    public function log(): string
    {
        return (string) file_get_contents("$this->folder/log");
    }

    /** Stops it by SIGTERM. Returns its exit code. */
    public function stop(): int
    {
        proc_terminate($this->process);
        $end = microtime(true) + self::STOP_S_MAX;
        do {
            $status = proc_get_status($this->process);
            microtime(true) < $end || throw new RuntimeException("the server does not end: {$this->log()}");
            usleep(10_000);
        } while ($status['running']);
        array_map('unlink', glob("$this->folder/*") ?: []);
        rmdir($this->folder);
        return $status['exitcode'];
    }

    private function settings(): string
    {
        return sprintf(
            "listen = \"%s:%d\"\nadmin = \"off\"\nshards = %d\nsample_endpoints = true\n"
            . "[[apps]]\nid = \"%s\"\nkey = \"%s\"\nsecret = \"%s\"\nterminate_by_presence = true\n",
            HOST, $this->port, $this->shards, APP_ID, APP_KEY, APP_SECRET
        );
    }

    private function isReady(): bool
    {
        $answer = @file_get_contents("http://" . HOST . ":$this->port/ready");
        return $answer === '{"ready":true}';
    }
}

/** A port that was free a moment ago, below those that the kernel gives to clients. */
function free_port(): int
{
    for ($tries = 0; $tries < 100; $tries++) {
        $port = random_int(20_000, 32_000);
        $socket = @stream_socket_server('tcp://' . HOST . ":$port");
        if ($socket !== false) {
            fclose($socket);
            return $port;
        }
    }
    throw new RuntimeException('no free port');
}
