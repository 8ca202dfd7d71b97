-- Put before scripts that only read. ARGV: prefix. From 2 on each script has its own.
local p = ARGV[1]

-- A key that holds something else is not ours, and is read as one that is not there.
local function read(nothing, command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    if not answer.err:find('WRONGTYPE', 1, true) then error(answer) end
    return nothing
  end
  return answer
end

-- How many subscribers a topic has, but for those of these epochs.
local function subscribers(topic, except)
  local sum, links = 0, read({}, 'HGETALL', p..':l:'..topic)
  for i = 1, #links, 2 do
    if not except:find(links[i], 1, true) then sum = sum + (tonumber(links[i + 1]) or 0) end
  end
  return sum
end

local function members(topic) return read(0, 'HLEN', p..':u:'..topic) end
