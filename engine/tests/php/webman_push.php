<?php
// What the Api class of webman/push says on the wire: one app id in all its paths, no version of the signature, and a query
// with nothing escaped.

declare(strict_types=1);

final class WebmanPushApi
{
    private const BASE_PATH = '/apps/1024';

    private readonly Http $http;

    public function __construct(string $address, private readonly string $key, private readonly string $secret)
    {
        $this->http = new Http($address);
    }

    /** @param string|list<string> $channels */
    public function trigger(string|array $channels, string $event, mixed $data, ?string $socketId = null): bool
    {
        $event = ['name' => $event, 'data' => json_encode($data), 'channels' => (array) $channels];
        $body = (string) json_encode($socketId === null ? $event : $event + ['socket_id' => $socketId]);
        return $this->request('POST', '/events', ['body_md5' => md5($body)], $body)->status === 200;
    }

    /**
     * @param array<string, string> $params
     * @return array<string, mixed>|false
     */
    public function getChannelInfo(string $channel, array $params = []): array|false
    {
        $answer = $this->request('GET', "/channels/$channel", $params);
        return $answer->status === 200 ? $answer->json() : false;
    }

    /** @param array<string, string> $params */
    private function request(string $method, string $path, array $params, string $body = ''): Response
    {
        $path = self::BASE_PATH . $path;
        $params += ['auth_key' => $this->key, 'auth_timestamp' => (string) time()];
        $joined = function () use (&$params): string {
            ksort($params);
            return implode('&', array_map(fn (string $name) => "$name=$params[$name]", array_keys($params)));
        };
        $params['auth_signature'] = hash_hmac('sha256', "$method\n$path\n" . $joined(), $this->secret);
        return $this->http->request($method, "$path?" . $joined(), $body, ['Content-Type' => 'application/json']);
    }
}
