-- What is in a topic. ARGV from 2: epochs whose subscribers do not count; topic; 1 if its cached event is wanted, or 0. Answers
-- its subscribers, its users; and if that is wanted and there, the cached event and for how many ms it will be.
local topic = ARGV[3]
local answer = {subscribers(topic, ARGV[2]), members(topic)}
local left = ARGV[4] == '1' and read(0, 'PTTL', p..':c:'..topic) or 0
local event = left > 0 and read(false, 'GET', p..':c:'..topic)
if event then
  answer[3], answer[4] = event, left
end
return answer
