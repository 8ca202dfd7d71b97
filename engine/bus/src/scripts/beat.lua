-- A sign of life. ARGV from 7: epoch; 1 if its node stops soon, or 0; app and number of connections, of each app whose number has changed. Answers FENCED, or
-- this server's time in ms; the bytes that wait in the epoch's inbox; an array of epoch, beat, 1 if it is dead or 2 if its node stops soon, of each that is
-- registered; an array of app and number of connections on all other nodes that live.
local epoch = ARGV[7]
if not may_act(epoch) then return 'FENCED' end
call('HINCRBY', node(epoch), 'beat', 1)
call('HSET', node(epoch), 'at', now)
if ARGV[8] == '1' then call('HSET', node(epoch), 'leaves', 1) end
for i = 9, #ARGV - 1, 2 do
  if ARGV[i + 1] == '0' then call('HDEL', connections(epoch), ARGV[i]) else call('HSET', connections(epoch), ARGV[i], ARGV[i + 1]) end
end
local sessions, apps, sums = {}, {}, {}
for _, other in ipairs(call('SMEMBERS', p..':nodes')) do
  local state = call('HMGET', node(other), 'beat', 'st', 'leaves')
  sessions[#sessions + 1] = other
  sessions[#sessions + 1] = tonumber(state[1]) or 0
  sessions[#sessions + 1] = state[2] == 'dead' and 1 or state[3] and 2 or 0
  local pairs_of_app = other ~= epoch and state[2] == 'live' and call('HGETALL', connections(other)) or {}
  for i = 1, #pairs_of_app, 2 do
    local app = pairs_of_app[i]
    if not sums[app] then apps[#apps + 1] = app end
    sums[app] = (sums[app] or 0) + (tonumber(pairs_of_app[i + 1]) or 0)
  end
end
local counts = {}
for _, app in ipairs(apps) do
  counts[#counts + 1] = app
  counts[#counts + 1] = sums[app]
end
local room = tonumber(call('HGET', node(epoch), 'room')) or INBOX_MAX
return {now, INBOX_MAX - room, sessions, counts}
