-- Runs a program over an exec socket and gathers what it says.
--
-- The interface and the habits are those of the module that users have: every option given with a
-- call stays for later calls, results of sends are not looked at, and a tag that is not one of the
-- five is a runtime error.

local socket = require 'resty.exec.socket'

local CALLBACKS = { 'stdout', 'stderr', 'unknown' }
local OPTIONS = { 'argv', 'stdin', 'stdout', 'stderr', 'unknown', 'timeout', 'timeout_fatal' }

local program = {}
program.__index = program

-- Takes the words or the table of a call; nil and a sentence if an option is wrong.
local function take(self, ...)
  local first = ...
  if type(first) == 'table' then
    for _, name in ipairs(OPTIONS) do
      if first[name] ~= nil then self[name] = first[name] end
    end
  elseif first ~= nil then
    self.argv = { ... }
  end
  for _, name in ipairs(CALLBACKS) do
    if self[name] ~= nil and type(self[name]) ~= 'function' then
      return nil, "invalid argument '" .. name .. "' (requires function)"
    end
  end
  local argv = self.argv
  if type(argv) == 'string' then argv = { argv } end
  if not argv or #argv == 0 then return nil, 'no arguments supplied' end
  return argv
end

function program:__call(...)
  local argv, err = take(self, ...)
  if not argv then return nil, err end

  local client = socket:new { timeout = self.timeout }
  local ok
  ok, err = client:connect(self.address)
  if not ok then return nil, err end
  client:send_args(argv)
  if self.stdin then client:send(self.stdin) end
  client:send_close()

  local gathered = { stdout = {}, stderr = {}, unknown = {}, exitcode = {}, termsig = {} }
  local take_value = {}
  for tag, values in pairs(gathered) do
    take_value[tag] = self[tag] or function(value) values[#values + 1] = value end
  end
  while true do
    local value, tag
    value, tag, err = client:receive()
    if value then
      take_value[tag](value)
    elseif err == 'closed' then
      break
    elseif err ~= 'timeout' or self.timeout_fatal then
      return nil, err or tag
    end
  end
  return {
    stdout = table.concat(gathered.stdout),
    stderr = table.concat(gathered.stderr),
    unknown = table.concat(gathered.unknown),
    exitcode = tonumber(table.concat(gathered.exitcode)),
    termsig = tonumber(table.concat(gathered.termsig)),
  }
end

local exec = {}

function exec.new(address)
  if not address then return nil, 'must supply an address' end
  return setmetatable({ address = address, timeout = 60000, timeout_fatal = true }, program)
end

return exec
