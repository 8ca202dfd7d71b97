-- A slice of the channels of an app that have subscribers. ARGV from 2: epochs whose subscribers do not count; app; what names
-- begin with; cursor, 0 at first; how many at a time. Answers the next cursor, 0 at the end, and of each channel: its name,
-- its subscribers, its users. One may come twice.
local app, prefix = ARGV[3], ARGV[4]
local found = read({'0', {}}, 'SSCAN', p..':ch:'..app, ARGV[5], 'COUNT', ARGV[6])
local answer = {found[1]}
for _, channel in ipairs(found[2]) do
  if channel:sub(1, #prefix) == prefix then
    local topic = app..'/c'..channel
    local count = subscribers(topic, ARGV[2])
    if count > 0 then
      answer[#answer + 1] = channel
      answer[#answer + 1] = count
      answer[#answer + 1] = members(topic)
    end
  end
end
return answer
