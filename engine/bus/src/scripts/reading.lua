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

local function subscribers(topic)
  local sum = 0
  for _, count in ipairs(read({}, 'HVALS', p..':l:'..topic)) do sum = sum + (tonumber(count) or 0) end
  return sum
end

local function members(topic) return read(0, 'HLEN', p..':u:'..topic) end
