-- Levels that were passed on as up. ARGV from 7: their names. What is up, or will be told as down, is noted as passed on.
-- Answers the others: nobody will tell that they are down.
local answer = {}
for i = 7, #ARGV do
  local topic, user = named(ARGV[i])
  if is_there(topic, user) then rise(topic, user) else fall(topic, user) end
  if is_there(topic, user) or was_told(topic, user) then call('SADD', p..':passed', ARGV[i])
  else answer[#answer + 1] = ARGV[i] end
end
return answer
