<?php
// The server as PHP back ends see it that have used webman-push-server until now.
//
// Prints a line for each fact and how many hold (TAP, with the closing lines of Node's); exit code 1 if one does not.

declare(strict_types=1);

require __DIR__ . '/wire.php';
require __DIR__ . '/server.php';
require __DIR__ . '/clients.php';
require __DIR__ . '/webman_push.php';

// A warning is a failure: it says that a client reads what is not there.
set_error_handler(fn (int $level, string $what) => (error_reporting() & $level) !== 0 && throw new ErrorException($what, 0, $level));

const USER = ['user_id' => '100', 'user_info' => '{"name":"张三","path":"/a"}'];
const CONNECTIONS_MAX = 200;

final class Facts
{
    public int $hold = 0;
    public int $fail = 0;

    public function check(string $name, Closure $body): void
    {
        try {
            $body();
            $this->hold++;
            echo "ok - $name\n";
        } catch (Throwable $thrown) {
            $this->fail++;
            echo "not ok - $name\n", preg_replace('/^/m', '    ', (string) $thrown), "\n";
        }
    }
}

function is(mixed $found, mixed $expected): void
{
    $found === $expected || throw new RuntimeException(var_export($found, true) . ' is not ' . var_export($expected, true));
}

function holds(bool $isSo, string $what): void
{
    $isSo || throw new RuntimeException("it does not hold: $what");
}

/** @param array<string, mixed> $config */
function connect(Server $server, array $config = []): WsClient
{
    $client = new WsClient(HOST . ":$server->port", $config + ['app_key' => APP_KEY, 'auth' => '/subscribe/auth']);
    holds($client->listenUntil(fn () => $client->socketId !== null), 'the client is connected');
    return $client;
}

/**
 * A client on each shard.
 *
 * @return array<int, WsClient>
 */
function connect_to_each_shard(Server $server): array
{
    $clients = [];
    for ($tries = 0; count($clients) < $server->shards && $tries < CONNECTIONS_MAX; $tries++) {
        $client = connect($server);
        $clients[(int) explode('.', (string) $client->socketId)[0] & 0xffff] ??= $client;
    }
    is(count($clients), $server->shards);
    return $clients;
}

function subscribe(WsClient $client, string $channel): void
{
    $client->subscribe($channel);
    holds($client->listenUntil(fn () => isset($client->channels[$channel])), "subscribed to $channel");
}

/** What comes of an event on a channel from now on. */
function heard(WsClient $client, string $channel, string $event): ArrayObject
{
    $heard = new ArrayObject();
    $client->eventOn($channel, $event, fn (WebSocket $connection, array $frame) => $heard[] = $frame['data']);
    return $heard;
}

function wait_for_count(WsClient $client, ArrayObject $heard, int $count): void
{
    holds($client->listenUntil(fn () => count($heard) >= $count), "$count of it come, not " . count($heard));
}

/** Everything that was on its way has come when a pong has. */
function settle(WsClient $client): void
{
    $before = $client->pongs;
    $client->ping();
    holds($client->listenUntil(fn () => $client->pongs > $before), 'a ping is answered');
}

$server = new Server();
$api = new ApiClient(HOST . ":$server->port", APP_KEY, APP_SECRET, APP_ID);
$facts = new Facts();

$facts->check('a client connects, and its heartbeat is answered', function () use ($server): void {
    $client = connect($server, ['query' => ['token' => 'a b&c']]);
    holds(preg_match('/\A\d+\.\d+\z/', (string) $client->socketId) === 1, 'the socket id is one that Pusher\'s SDKs take');
    settle($client);
});

$facts->check('the handler of a subscription gets the frame with its channel', function () use ($server): void {
    $client = connect($server);
    foreach (['news', 'private-news', 'presence-news'] as $channel) {
        $frames = new ArrayObject();
        $client->subscribe($channel, fn (WebSocket $connection, array $frame) => $frames[] = $frame);
        holds($client->listenUntil(fn () => count($frames) === 1), "the handler of $channel is called");
        is($frames[0]['channel'], $channel);
        holds(is_array($frames[0]['data']), 'its data is an array');
    }
    is($frames[0]['data']['presence']['count'], 1);
    is($frames[0]['data']['presence']['ids'], ['100']);
});

$facts->check('what a back end publishes comes as what it was on every shard', function () use ($server, $api): void {
    $clients = connect_to_each_shard($server);
    $all = array_map(function (WsClient $client): ArrayObject {
        subscribe($client, 'room');
        return heard($client, 'room', 'message');
    }, $clients);
    $said = [['text' => '你好/"x"', 'n' => [1, 2.5, null, true]], 'plain text', '{"json":"in a string"}', [1, 2]];
    foreach ($said as $data) {
        is($api->trigger(['room'], 'message', $data), []);
    }
    foreach ($clients as $shard => $client) {
        wait_for_count($client, $all[$shard], count($said));
        is($all[$shard][0], $said[0]);
        is($all[$shard][1], $said[1]);
        is($all[$shard][3], $said[3]);
    }
});

$facts->check('the sender of a socket id does not get its own event', function () use ($server, $api): void {
    [$sender, $other] = [connect($server), connect($server)];
    array_map(fn (WsClient $client) => subscribe($client, 'to-others'), [$sender, $other]);
    [$ofSender, $ofOther] = [heard($sender, 'to-others', 'e'), heard($other, 'to-others', 'e')];
    $api->trigger(['to-others'], 'e', ['n' => 1], ['socket_id' => $sender->socketId]);
    $api->trigger(['to-others'], 'e', ['n' => 2], ['socket_id' => null]);
    wait_for_count($other, $ofOther, 2);
    wait_for_count($sender, $ofSender, 1);
    is($ofSender->getArrayCopy(), [['n' => 2]]);
});

$facts->check('a batch comes in order, and one connection serves all calls', function () use ($server, $api): void {
    $client = connect($server);
    subscribe($client, 'batch');
    $heard = heard($client, 'batch', 'e');
    for ($from = 0; $from < 100; $from += 10) {
        $event = fn (int $n) => ['channel' => 'batch', 'name' => 'e', 'data' => ['n' => $n]];
        is($api->triggerBatch(array_map($event, range($from, $from + 9))), []);
    }
    wait_for_count($client, $heard, 100);
    is(array_column($heard->getArrayCopy(), 'n'), range(0, 99));
    is($api->http->connections, 1);
});

$facts->check('clients talk on a private channel, and nobody hears himself', function () use ($server): void {
    [$sender, $other] = [connect($server), connect($server)];
    array_map(fn (WsClient $client) => subscribe($client, 'private-talk'), [$sender, $other]);
    [$ofSender, $ofOther] = [heard($sender, 'private-talk', 'client-say'), heard($other, 'private-talk', 'client-say')];
    $sender->trigger(['private-talk'], 'client-say', ['text' => '你好', 'list' => [1, ['a' => null]]]);
    wait_for_count($other, $ofOther, 1);
    is($ofOther[0], ['text' => '你好', 'list' => [1, ['a' => null]]]);
    settle($sender);
    is(count($ofSender), 0);
});

$facts->check('members come and go, whichever form the sample endpoint signs', function () use ($server): void {
    foreach (['/subscribe/auth', '/subscribe/auth?compat=webman'] as $number => $auth) {
        $channel = "presence-members-$number";
        $first = connect($server, ['auth' => $auth, 'channel_data' => ['user_id' => '1', 'user_info' => '{}']]);
        subscribe($first, $channel);
        [$added, $removed] = [
            heard($first, $channel, 'pusher_internal:member_added'),
            heard($first, $channel, 'pusher_internal:member_removed'),
        ];
        $second = connect($server, ['auth' => $auth, 'channel_data' => USER]);
        subscribe($second, $channel);
        wait_for_count($first, $added, 1);
        is($added[0]['user_id'], '100');
        is($added[0]['user_info'], USER['user_info']);
        $second->connection->close();
        wait_for_count($first, $removed, 1);
        is($removed[0]['user_id'], '100');
    }
});

$facts->check('the handler of an unsubscription is called, and nothing comes after it', function () use ($server, $api): void {
    $client = connect($server);
    array_map(fn (string $channel) => subscribe($client, $channel), ['left', 'private-left', 'presence-left']);
    $heard = heard($client, 'left', 'e');
    $gone = new ArrayObject();
    $client->unsubscribe('left', fn (WebSocket $connection, array $frame) => $gone[] = $frame['channel']);
    wait_for_count($client, $gone, 1);
    is($gone[0], 'left');
    is(array_values($client->channels), ['private-left', 'presence-left']);
    $api->trigger(['left'], 'e', ['n' => 1]);
    settle($client);
    is(count($heard), 0);
    $client->unsubscribeAll();
    holds($client->listenUntil(fn () => $client->channels === []), 'all channels are left');
});

$facts->check('an error reaches a handler that is for no channel', function () use ($server): void {
    $client = connect($server);
    $errors = new ArrayObject();
    $client->eventOn(null, 'pusher:error', fn (WebSocket $connection, array $frame) => $errors[] = $frame['data']['message']);
    $wrong = [
        ['event' => 'pusher:subscribe', 'data' => ['channel' => 'private-a', 'channel_data' => [], 'auth' => APP_KEY . ':00']],
        ['event' => 'client-say', 'data' => ['a' => 1], 'channel' => 'news'],
        ['event' => 7, 'data' => []],
        ['data' => ['x' => 1]],
        ['event' => ['a'], 'data' => []],
    ];
    foreach ($wrong as $number => $message) {
        $client->connection->send((string) json_encode($message));
        holds($client->listenUntil(fn () => count($errors) > $number), 'an error for ' . json_encode($message));
    }
    settle($client);
    is(count($errors), count($wrong));
});

$facts->check('channels are listed by their type, with counts', function () use ($server, $api): void {
    $client = connect($server, ['channel_data' => USER]);
    array_map(fn (string $channel) => subscribe($client, $channel), ['listed', 'private-listed', 'presence-listed']);
    foreach (['private', 'presence'] as $type) {
        $listed = array_keys($api->getChannels(['filter_by_prefix' => $type])['channels']);
        holds(in_array("$type-listed", $listed, true), "$type-listed is among " . implode(' ', $listed));
        is(array_filter($listed, fn (string $name) => !str_starts_with($name, "$type-")), []);
    }
    $public = array_keys($api->getChannels(['filter_by_prefix' => 'public'])['channels']);
    holds(in_array('listed', $public, true) && !in_array('private-listed', $public, true), implode(' ', $public));
    $counted = $api->getChannels(['filter_by_prefix' => 'presence', 'info' => 'user_count'])['channels'];
    is((int) $counted['presence-listed']['user_count'], 1);
});

$facts->check('a channel and its users are told', function () use ($server, $api): void {
    $client = connect($server, ['channel_data' => USER]);
    subscribe($client, 'presence-told');
    $told = $api->getChannelInfo('presence-told', ['info' => 'user_count,subscription_count']);
    is([$told['occupied'], (int) $told['user_count'], (int) $told['subscription_count']], [true, 1, 1]);
    is($api->getChannelInfo('nobody-there')['occupied'], false);
    is($told['type'], 'presence');
    is($api->getPresenceUsers('presence-told')['users'], ['100']);
});

$facts->check('a user whose connections are terminated is told so', function () use ($server, $api): void {
    $user = ['user_id' => 'to-go', 'user_info' => '{}'];
    $clients = connect_to_each_shard($server);
    $goes = connect($server, ['channel_data' => $user]);
    subscribe($goes, 'presence-terminated');
    $messages = new ArrayObject();
    $goes->eventOn(null, 'pusher:terminate_connection', fn (WebSocket $connection, array $frame) => $messages[] = $frame['data']['message']);
    is($api->terminateUserConnections('to-go'), []);
    holds($goes->listenUntil(fn () => $goes->connection->closeCode !== null), 'the connection is closed');
    is([$goes->socketId, $messages->getArrayCopy()], [null, ['Terminate connection by API']]);
    array_map(settle(...), $clients);
});

$facts->check('the Api class of webman/push publishes and asks, whatever the id of its app is', function () use ($server): void {
    $api = new WebmanPushApi(HOST . ":$server->port", APP_KEY, APP_SECRET);
    [$sender, $other] = [connect($server), connect($server)];
    array_map(fn (WsClient $client) => subscribe($client, 'user-1'), [$sender, $other]);
    [$ofSender, $ofOther] = [heard($sender, 'user-1', 'message'), heard($other, 'user-1', 'message')];
    is($api->trigger('user-1', 'message', ['from_uid' => 2, 'content' => '你好'], $sender->socketId), true);
    is($api->trigger(['user-1'], 'message', ['n' => 2]), true);
    wait_for_count($other, $ofOther, 2);
    is(json_decode($ofOther[0], true), ['from_uid' => 2, 'content' => '你好']);
    wait_for_count($sender, $ofSender, 1);
    $told = $api->getChannelInfo('user-1', ['info' => 'subscription_count']);
    is([$told['occupied'], $told['subscription_count']], [true, 2]);
    is((new WebmanPushApi(HOST . ":$server->port", APP_KEY, 'wrong'))->trigger('user-1', 'message', ['n' => 3]), false);
});

$facts->check('what the API refuses is an error with its status', function () use ($server): void {
    foreach ([[APP_KEY, 'wrong', APP_ID, 401], ['nobody', APP_SECRET, APP_ID, 401], [APP_KEY, APP_SECRET, '99', 404]] as $case) {
        [$key, $secret, $app, $status] = $case;
        $api = new ApiClient(HOST . ":$server->port", $key, $secret, $app);
        try {
            $api->trigger(['a'], 'e', ['a' => 1]);
            throw new RuntimeException("$key $app was let in");
        } catch (ApiException $refused) {
            is($refused->getCode(), $status);
            holds(is_string(json_decode($refused->getMessage(), true)['error']), 'the body says why');
        }
    }
});

$facts->check('the server ends when it is told to', function () use ($server): void {
    is($server->stop(), 0);
});

printf("1..%d\n# pass %d\n# fail %d\n", $facts->hold + $facts->fail, $facts->hold, $facts->fail);
exit($facts->fail === 0 ? 0 : 1);
