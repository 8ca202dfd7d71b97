-- What epochs hold, in slices: what was not told yet is told. ARGV from 7: epoch, '' for the first one; cursor; how many about.
-- Answers the epoch and the cursor to go on with, '' and 0 at the end, and the names of levels that are up.
local epoch, cursor, answer = ARGV[7], ARGV[8], {}

local function next_epoch(after)
  local best = ''
  for _, other in ipairs(call('SMEMBERS', p..':nodes')) do
    if other > after and (best == '' or other < best) then best = other end
  end
  return best
end

local function look(topic, user)
  if not is_there(topic, user) or not has_level(topic, user) then return end
  rise(topic, user)
  answer[#answer + 1] = name(topic, user)
end

if epoch == '' then epoch, cursor = next_epoch(''), '0' end
if epoch ~= '' then
  local scanned = call('SSCAN', held(epoch), cursor, 'COUNT', ARGV[9])
  cursor = scanned[1]
  for _, text in ipairs(scanned[2]) do
    local topic, user = named(text)
    if user then look(topic) end
    look(topic, user)
  end
  if cursor == '0' then epoch = next_epoch(epoch) end
end
return {epoch, cursor, unpack(answer)}
