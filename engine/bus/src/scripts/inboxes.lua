-- What a script says to nodes, gathered and then appended: one entry for each inbox, with a field for each message.
local said, order = {}, {}

local function tell_node(epoch, field, value)
  local fields = said[epoch]
  if not fields then
    fields = {}
    said[epoch] = fields
    order[#order + 1] = epoch
  end
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end

local function tell_links(topic, sort, value)
  for _, epoch in ipairs(call('HKEYS', links(topic))) do tell_node(epoch, sort..topic, value) end
end

-- Whether an inbox is at most half full. What waits for that is said again when it changes.
local roomy = {}
local function has_room(epoch)
  if roomy[epoch] == nil then
    roomy[epoch] = (tonumber(call('HGET', node(epoch), 'room')) or 0) > INBOX_MAX / 2
  end
  return roomy[epoch]
end

-- How many subscribers a channel has on other nodes is told to all nodes that have some, but the one that has changed it.
-- Returns what that one would be told.
local function tell_elsewhere(topic, changed)
  if not channel_of(topic) then return 0 end
  local all, total, own = call('HGETALL', links(topic)), 0, 0
  for i = 1, #all, 2 do
    total = total + (tonumber(all[i + 1]) or 0)
    if all[i] == changed then own = tonumber(all[i + 1]) or 0 end
  end
  for i = 1, #all, 2 do
    local epoch = all[i]
    if epoch ~= changed and has_room(epoch) then
      tell_node(epoch, '#'..topic, string.format('%d', total - (tonumber(all[i + 1]) or 0)))
    end
  end
  return total - own
end

-- The inbox is given up: its node reads that, behind whatever it has read, and begins a new session.
local function cut(epoch)
  local state, key = call('HGET', node(epoch), 'st'), inbox(epoch)
  if not state then redis.call('DEL', node(epoch)) end
  if state ~= 'live' then return redis.call('DEL', key) end
  call('HSET', node(epoch), 'cut', 1, 'room', NO_ROOM)
  redis.pcall('XTRIM', key, 'MAXLEN', 0)
  local added = redis.pcall('XADD', key, '0-*', '!', '')
  if type(added) == 'table' then
    redis.call('DEL', key)
    redis.call('XADD', key, '*', '!', '')
  end
end

-- The stream as we left it has ids 0-1, 0-2 and so on. One that refuses the next was written to by others.
local function append(epoch, fields)
  local bytes = 32 * #fields
  for i = 1, #fields do bytes = bytes + #fields[i] end
  local room = redis.pcall('HINCRBY', node(epoch), 'room', -bytes)
  if type(room) ~= 'number' then return cut(epoch) end
  if room < 0 then
    if room + bytes >= 0 then cut(epoch) end
    return
  end
  for i = 1, #fields, 4000 do
    local added = redis.pcall('XADD', inbox(epoch), '0-*', unpack(fields, i, math.min(i + 3999, #fields)))
    if type(added) == 'table' then return cut(epoch) end
  end
end

local function tell_nodes()
  for _, epoch in ipairs(order) do append(epoch, said[epoch]) end
end
