-- Begins a session. ARGV from 7: epoch; the node's last epoch, or ''; which servers the node knows; since when it wants
-- orders, in ms of this server's clock, or with a minus before it how many ms ago.
--
-- The last epoch is closed: its late commands do nothing, its links and members stay until it is retired.
-- Answers the identity of this server, its time in ms, and the orders since; or MAP: the others know other servers. What
-- they know holds while one of them is alive: its epoch is live and has given a sign of life within MAP_KEPT_MS.
local MAP_KEPT_MS, ORDERS_MAX = 120000, 10000
local epoch, old, servers, since = ARGV[7], ARGV[8], ARGV[9], ARGV[10]

local function somebody_lives()
  for _, other in ipairs(call('SMEMBERS', p..':nodes')) do
    local state = call('HMGET', node(other), 'st', 'at')
    if other ~= old and state[1] == 'live' and now - (tonumber(state[2]) or 0) < MAP_KEPT_MS then return true end
  end
  return false
end

local known = call('GET', p..':map')
if known ~= servers then
  if known and somebody_lives() then return 'MAP' end
  redis.call('SET', p..':map', servers)
end
if old ~= '' and call('HGET', node(old), 'st') == 'live' then
  call('HSET', node(old), 'st', 'closed', 'room', NO_ROOM)
  redis.call('DEL', inbox(old), connections(old))
end
-- A node that has the edges goes on with them.
if old ~= '' and call('GET', p..':hooks') == old then redis.call('SET', p..':hooks', epoch) end
redis.call('DEL', node(epoch), inbox(epoch))
call('SADD', p..':nodes', epoch)
call('HSET', node(epoch), 'st', 'live', 'beat', 0, 'at', now, 'done', 0, 'room', INBOX_MAX, 'out', 0)

local answer = {identity(), now}
local ago = since:match('^%-(%d+)$')
local from = ago and string.format('%.0f', math.max(now - ago, 0)) or since:match('^%d+$')
if from then
  for _, entry in ipairs(call('XRANGE', p..':orders', from, '+', 'COUNT', ORDERS_MAX)) do
    answer[#answer + 1] = entry[2][2]
  end
end
return answer
