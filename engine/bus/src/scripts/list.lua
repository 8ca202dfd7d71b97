-- A slice of the channels of an app that have subscribers. ARGV from 2: app; cursor, 0 at first; how many at a time. Answers
-- the next cursor, 0 at the end, and of each channel: its name, its subscribers, its users. One may come twice.
local app = ARGV[2]
local found = read({'0', {}}, 'SSCAN', p..':ch:'..app, ARGV[3], 'COUNT', ARGV[4])
local answer = {found[1]}
for _, channel in ipairs(found[2]) do
  local topic = app..'/c'..channel
  answer[#answer + 1] = channel
  answer[#answer + 1] = subscribers(topic)
  answer[#answer + 1] = members(topic)
end
return answer
