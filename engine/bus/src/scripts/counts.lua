-- What is in some topics. ARGV from 2: topics. Answers of each, in order: its subscribers, its users.
local answer = {}
for i = 2, #ARGV do
  answer[#answer + 1] = subscribers(ARGV[i])
  answer[#answer + 1] = members(ARGV[i])
end
return answer
