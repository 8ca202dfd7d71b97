<?php
// Clients that say and read on the wire what webman-push-server's WsClient and ApiClient do, and are as strict.
//
// They decode JSON to arrays, reach into `data` without asking what it is, and call handlers whose arguments have types. So
// a string where they expect an object, or a channel where there should be none, ends them with an error, as it ends the
// process there.

declare(strict_types=1);

/** Subscribes and triggers, as WsClient does. */
final class WsClient
{
    public ?string $socketId = null;
    /** @var array<string, string> */
    public array $channels = [];
    public int $pongs = 0;
    public readonly WebSocket $connection;
    /** @var array<string, Closure|array<string, Closure>> */
    private array $handlers = [];
    private Http $authority;

    /** @param array<string, mixed> $config `app_key`, `auth` (a path), `channel_data` and `query` */
    public function __construct(string $address, private readonly array $config)
    {
        $query = http_build_query(['X-Push-WS-Client' => 'push-server 2.0.0'] + ($config['query'] ?? []));
        $this->connection = new WebSocket($address, "/app/{$config['app_key']}?$query");
        $this->authority = new Http($address);
    }

    /** A handler of an event on a channel, or of one that has none. */
    public function eventOn(?string $channel, string $event, Closure $handler): void
    {
        if ($channel === null) {
            $this->handlers[$event] = $handler;
        } else {
            $this->handlers[$event][$channel] = $handler;
        }
    }

    public function ping(): void
    {
        $this->connection->send('{"event":"pusher:ping","data":{}}');
    }

    public function subscribe(string $channel, ?Closure $handler = null): void
    {
        if ($handler !== null) {
            $this->eventOn($channel, 'pusher_internal:subscription_succeeded', $handler);
        }
        if (!preg_match('/^(private|presence)-/', $channel)) {
            $this->publish('pusher:subscribe', ['channel' => $channel]);
            return;
        }
        $signed = $this->authorize($channel);
        $this->publish('pusher:subscribe', [
            'channel' => $channel,
            'channel_data' => $signed['channel_data'] ?? [],
            'auth' => $signed['auth'] ?? '',
        ]);
    }

    public function unsubscribe(string $channel, ?Closure $handler = null): void
    {
        if ($handler !== null) {
            $this->eventOn($channel, 'pusher_internal:unsubscription_succeeded', $handler);
        }
        $this->publish('pusher:unsubscribe', ['channel' => $channel]);
    }

    public function unsubscribeAll(): void
    {
        foreach ($this->channels as $channel) {
            $this->unsubscribe($channel);
        }
    }

    /**
     * @param list<string> $channels
     * @param array<mixed> $data
     */
    public function trigger(array $channels, string $event, array $data = []): void
    {
        foreach ($channels as $channel) {
            $this->publish($event, $data, $channel);
        }
    }

    /** @param array<mixed> $data */
    public function publish(string $event, array $data = [], ?string $channel = null): void
    {
        $message = ['event' => $event, 'data' => $data] + ($channel === null ? [] : ['channel' => $channel]);
        $this->connection->send((string) json_encode($message, JSON_UNESCAPED_UNICODE));
    }

    /** Takes what comes until this is so; returns whether it is in time. */
    public function listenUntil(Closure $isSo, float $seconds = PATIENCE_S): bool
    {
        $end = microtime(true) + $seconds;
        while (!$isSo()) {
            $text = $this->connection->receive($end);
            if ($text === null) {
                return $isSo();
            }
            $this->take($text);
        }
        return true;
    }

    private function take(string $text): void
    {
        $frame = json_decode($text, true);
        $channel = $frame['channel'] ?? null;
        $event = $frame['event'] ?? null;
        $data = $frame['data'] ?? [];
        if ($event === 'pusher:pong') {
            $this->pongs++;
            return;
        }
        if ($event === 'pusher:connection_established') {
            $this->socketId = $data['socket_id'];
        } elseif ($event === 'pusher:terminate_connection') {
            $this->socketId = null;
        } elseif ($event === 'pusher_internal:subscription_succeeded') {
            $this->join($channel);
        } elseif ($event === 'pusher_internal:unsubscription_succeeded') {
            $this->leave($channel);
        }
        // A handler without a channel stands where those with one have a list: with a channel in the frame this is an error.
        $of = $this->handlers[$event] ?? null;
        $handler = $of === null || $channel === null ? $of : ($of[$channel] ?? null);
        if ($handler instanceof Closure) {
            $handler($this->connection, $frame);
        }
    }

    private function join(string $channel): void
    {
        $this->channels[$channel] = $channel;
    }

    private function leave(string $channel): void
    {
        unset($this->channels[$channel]);
    }

    /** @return array<string, mixed> */
    private function authorize(string $channel): array
    {
        $channelData = $this->config['channel_data'] ?? null;
        $asked = [
            'channel_name' => $channel,
            'socket_id' => $this->socketId,
            'channel_data' => $channelData ? json_encode($channelData, JSON_UNESCAPED_UNICODE) : null,
        ];
        $headers = [
            'Connection' => 'keep-alive',
            'Content-type' => 'application/json',
            'X-Push-Ws-Client' => 'push-server 2.0.0',
            'X-Auth-Request' => '1',
        ];
        $answer = $this->authority->request('POST', $this->config['auth'], (string) json_encode($asked), $headers);
        $answer->status === 200 || throw new RuntimeException("not authorized: $answer->body");
        return $answer->json();
    }
}

/** What the REST API refuses. */
final class ApiException extends RuntimeException
{
}

/** Publishes and asks, as ApiClient does. */
final class ApiClient
{
    public readonly Http $http;

    public function __construct(
        string $address,
        private readonly string $key,
        private readonly string $secret,
        private readonly string $appId,
    ) {
        $this->http = new Http($address);
    }

    /**
     * @param list<string> $channels
     * @param array<string, mixed> $params
     * @return array<string, mixed>
     */
    public function trigger(array $channels, string $event, mixed $data, array $params = []): array
    {
        $socketId = $params['socket_id'] ?? null;
        unset($params['socket_id']);
        $body = ['channels' => $channels, 'name' => $event, 'data' => $data, 'socket_id' => $socketId];
        return $this->request('POST', '/events', (string) json_encode($body, JSON_UNESCAPED_UNICODE), $params);
    }

    /**
     * @param list<array<string, mixed>> $batch
     * @return array<string, mixed>
     */
    public function triggerBatch(array $batch): array
    {
        return $this->request('POST', '/batch_events', (string) json_encode(['batch' => $batch], JSON_UNESCAPED_UNICODE));
    }

    /**
     * @param array<string, mixed> $params
     * @return array<string, mixed>
     */
    public function getChannels(array $params = []): array
    {
        return $this->request('GET', '/channels', '', $params);
    }

    /**
     * @param array<string, mixed> $params
     * @return array<string, mixed>
     */
    public function getChannelInfo(string $channel, array $params = []): array
    {
        return $this->request('GET', "/channels/$channel", '', $params);
    }

    /** @return array<string, mixed> */
    public function getPresenceUsers(string $channel): array
    {
        return $this->request('GET', "/channels/$channel/users", '');
    }

    /** @return array<string, mixed> */
    public function terminateUserConnections(string $userId): array
    {
        return $this->request('POST', "/users/$userId/terminate_connections", '');
    }

    /**
     * The hash of the body is signed even where there is none.
     *
     * @param array<string, mixed> $params
     * @return array<string, mixed>
     */
    private function request(string $method, string $path, string $body, array $params = []): array
    {
        $path = "/apps/$this->appId$path";
        $params += [
            'auth_key' => $this->key,
            'auth_timestamp' => time(),
            'auth_version' => '1.0',
            'body_md5' => md5($body),
        ];
        ksort($params);
        $signed = [];
        foreach ($params as $name => $value) {
            $signed[] = "$name=" . (is_array($value) ? implode(',', $value) : $value);
        }
        $params['auth_signature'] = hash_hmac('sha256', "$method\n$path\n" . implode('&', $signed), $this->secret);
        $answer = $this->http->request($method, "$path?" . http_build_query($params, '', '&', PHP_QUERY_RFC3986), $body, [
            'Content-Type' => 'application/json',
            'Connection' => 'keep-alive',
            'X-Push-Client' => 'push-server 2.0.0',
        ]);
        $answer->status < 400 || throw new ApiException($answer->body, $answer->status);
        return $answer->json() ?: [];
    }
}
