-- Common to all scripts but `publish`, and put before each of them.
--
-- ARGV: prefix; now in ms (0: this server's clock; tests give it); grace and retry of levels in ms; how many bytes an
-- inbox takes; how many edges the stream of edges takes, 0 for none. From 7 on each script has its own.
--
-- Keys, where p is the prefix in braces, so that all of them share a slot. E is an epoch, T a topic, U a user:
--   p:nodes  set of E                        p:n:E   hash: st (live, closed, dead), beat, at, done, cut, room, out, leaves
--   p:in:E   stream, what E is told          p:i:E   set of what E holds, as `name` writes it
--   p:l:T    hash E -> its subscribers       p:u:T   hash U -> its epochs as ,E,E,
--   p:f:T    hash U -> user_info             p:c:T   the cached event, with a time to live
--   p:ch:APP set of channels with links      p:told  set of T, p:m:T set of U: the levels that hooks were told
--   p:due    zset of names                   p:edges stream of edges        p:passed set of names
--   p:orders stream of orders to all nodes   p:map   which servers there are
--   p:hooks the epoch that takes the edges; without it no levels are told
--   p:k:E    hash: how many connections apps have
--
-- A topic is APP/cCHANNEL or APP/uUSER. It holds no NUL, and no `/` before that one.
local p, now = ARGV[1], tonumber(ARGV[2])
local GRACE, RETRY, INBOX_MAX, EDGES_MAX = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

-- The room of an inbox that takes nothing, however much is acknowledged.
local NO_ROOM = -2^52

-- A key that holds something else is not ours: it goes. Without this, one such key would end every session that meets it.
local function call(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    if not answer.err:find('WRONGTYPE', 1, true) then error(answer) end
    redis.call('DEL', key)
    return redis.call(command, key, ...)
  end
  return answer
end

if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function node(epoch) return p..':n:'..epoch end
local function inbox(epoch) return p..':in:'..epoch end
local function connections(epoch) return p..':k:'..epoch end
local function held(epoch) return p..':i:'..epoch end
local function links(topic) return p..':l:'..topic end
local function users(topic) return p..':u:'..topic end
local function infos(topic) return p..':f:'..topic end
local function cached(topic) return p..':c:'..topic end

-- Whether this epoch may still change anything.
local function may_act(epoch)
  local state = call('HMGET', node(epoch), 'st', 'cut')
  return state[1] == 'live' and not state[2]
end

-- Whose memory this is: another process, or one that became the primary, may lack what was written last.
local function identity()
  local run = redis.call('INFO', 'server'):match('run_id:(%w+)')
  return run..redis.call('INFO', 'replication'):match('master_replid:(%w+)')
end

-- Text that says how long it is.
local function part(text) return struct.pack('>I4', #text)..text end

-- A topic, or a user of one, as members of sets name it.
local function name(topic, user) return user and 'M'..topic..'\0'..user or 'C'..topic end

-- What `name` made a name of.
local function named(text)
  local nul = text:find('\0', 1, true)
  if nul then return text:sub(2, nul - 1), text:sub(nul + 1) end
  return text:sub(2)
end

-- The app and the name of a channel; nothing for a user.
local function channel_of(topic)
  local slash = topic:find('/c', 1, true)
  if slash and slash == topic:find('/', 1, true) then return topic:sub(1, slash - 1), topic:sub(slash + 2) end
end
