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
