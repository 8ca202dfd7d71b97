-- Commands that are publishes only: what `commands` does with them, and nothing else, because this is the hot path. ARGV:
-- prefix; epoch; number of the first; then P and the topic in one, data, cache_ms of each.
local p, epoch, number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local call, pcall = redis.call, redis.pcall
local me = p..':n:'..epoch
local state = call('HMGET', me, 'st', 'cut', 'done')
if state[1] ~= 'live' or state[2] then return 'FENCED' end
local done, last = tonumber(state[3]), number + (#ARGV - 3) / 3 - 1
if number > done + 1 then return 'GAP' end
if last <= done then return done end

local said, order, interested, bytes = {}, {}, {}, {}
for i = 4 + (done + 1 - number) * 3, #ARGV, 3 do
  local topic, data = ARGV[i], ARGV[i + 1]
  local epochs = interested[topic]
  if not epochs then
    epochs = pcall('HKEYS', p..':l:'..topic:sub(2))
    interested[topic] = epochs
  end
  for k = 1, #epochs do
    local other = epochs[k]
    local fields = said[other]
    if not fields then
      fields = {}
      said[other] = fields
      bytes[other] = 0
      order[#order + 1] = other
    end
    fields[#fields + 1] = topic
    fields[#fields + 1] = data
    bytes[other] = bytes[other] + 64 + #topic + #data
  end
  if ARGV[i + 2] ~= '0' then call('SET', p..':c:'..topic:sub(2), data, 'PX', ARGV[i + 2]) end
end
call('HSET', me, 'done', last)

-- As in `inboxes`.
local function cut(other)
  local state, key = call('HGET', p..':n:'..other, 'st'), p..':in:'..other
  if not state then call('DEL', p..':n:'..other) end
  if state ~= 'live' then return call('DEL', key) end
  call('HSET', p..':n:'..other, 'cut', 1, 'room', -2^52)
  pcall('XTRIM', key, 'MAXLEN', 0)
  local added = pcall('XADD', key, '0-*', '!', '')
  if type(added) == 'table' then
    call('DEL', key)
    call('XADD', key, '*', '!', '')
  end
end

for k = 1, #order do
  local other = order[k]
  local room = pcall('HINCRBY', p..':n:'..other, 'room', -bytes[other])
  if type(room) ~= 'number' then cut(other)
  elseif room >= 0 then
    local added = pcall('XADD', p..':in:'..other, '0-*', unpack(said[other]))
    if type(added) == 'table' then cut(other) end
  elseif room + bytes[other] >= 0 then cut(other) end
end
return last
