-- Carries out numbered commands, in order, and skips those that were carried out before. ARGV from 7: epoch; number of the
-- first; the commands, each with as many arguments as it has here:
--   J topic link subscribers     a link to the topic, with its number
--   C topic subscribers          how many there are now; 0: the link goes
--   E topic user info ticket force members_max    a user's first connection
--   X topic user                 a user's last connection has gone
--   P topic data cache_ms        an event; cache_ms > 0: it is the cached one for so long
--   R epoch                      the node's former epoch is dead
--   A order                      an order to all nodes, and for ORDERS_MS to those that are away
-- Answers the number of the last one that was carried out, or FENCED, or GAP.
local ORDERS_MS = 600000
local epoch, number = ARGV[7], tonumber(ARGV[8])
local at = 9
local function argument()
  at = at + 1
  return ARGV[at - 1]
end

local function joined(topic, link)
  local event, left = call('GET', cached(topic)), 0
  if event then left = redis.call('PTTL', cached(topic)) end
  local elsewhere = string.format('%d', tell_elsewhere(topic, epoch))
  local parts = {part(link), part(elsewhere), part(tostring(left)), part(event or '')}
  for _, text in ipairs(call('HGETALL', infos(topic))) do parts[#parts + 1] = part(text) end
  tell_node(epoch, 'J'..topic, table.concat(parts))
end

local function enter(topic, user, info)
  local epochs = call('HGET', users(topic), user)
  local is_new = not epochs
  if is_new then
    epochs = ','
    call('HSET', infos(topic), user, info)
  end
  if not epochs:find(','..epoch..',', 1, true) then call('HSET', users(topic), user, epochs..epoch..',') end
  call('SADD', held(epoch), name(topic, user))
  rise(topic)
  rise(topic, user)
  if is_new then tell_links(topic, '+', part(user)..info) end
end

local commands = {
  J = {3, function(topic, link, subscribers)
    call('HSET', links(topic), epoch, subscribers)
    call('SADD', held(epoch), name(topic))
    local app, channel = channel_of(topic)
    if app then call('SADD', p..':ch:'..app, channel) end
    rise(topic)
    joined(topic, link)
  end},
  C = {2, function(topic, subscribers)
    if subscribers == '0' then return leave_topic(topic, epoch) end
    if call('HEXISTS', links(topic), epoch) == 1 then
      call('HSET', links(topic), epoch, subscribers)
      tell_elsewhere(topic, epoch)
    end
  end},
  E = {6, function(topic, user, info, ticket, force, members_max)
    local is_full = force ~= '1' and call('HLEN', users(topic)) >= (tonumber(members_max) or 0)
    if is_full and call('HEXISTS', users(topic), user) == 0 then
      return tell_node(epoch, 'R'..topic, part(user)..ticket)
    end
    enter(topic, user, info)
    tell_node(epoch, 'E'..topic, part(user)..ticket)
  end},
  X = {2, function(topic, user) leave_user(topic, user, epoch) end},
  P = {3, function(topic, data, cache_ms)
    if (tonumber(cache_ms) or 0) > 0 then redis.call('SET', cached(topic), data, 'PX', cache_ms) end
    tell_links(topic, 'P', data)
  end},
  R = {1, function(former)
    if former ~= epoch and call('SISMEMBER', p..':nodes', former) == 1 then
      call('HSET', node(former), 'st', 'dead', 'room', NO_ROOM)
    end
  end},
  A = {1, function(order)
    call('XADD', p..':orders', 'MINID', math.max(now - ORDERS_MS, 0), '*', '', order)
    for _, other in ipairs(call('SMEMBERS', p..':nodes')) do tell_node(other, 'A', order) end
  end},
}

if not may_act(epoch) then return 'FENCED' end
local done = tonumber(call('HGET', node(epoch), 'done'))
if number > done + 1 then return 'GAP' end
local last = done
while at <= #ARGV do
  local command = commands[argument()]
  if not command or at + command[1] - 1 > #ARGV then break end
  local count, carry_out = command[1], command[2]
  if number > done then
    carry_out(unpack(ARGV, at, at + count - 1))
    last = number
  end
  at = at + count
  number = number + 1
end
if last > done then call('HSET', node(epoch), 'done', last) end
tell_nodes()
return last
