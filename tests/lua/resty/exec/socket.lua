-- The two-way client of an exec socket, over nginx's cosockets or over LuaSocket.
--
-- It has the interface and the habits of the module that users have, above all how it reads: it waits
-- for the first byte, then takes what comes within a window so short that a server which pauses
-- inside a string, inside a pair, or between the status and its close is misunderstood.

local netstring = require 'netstring'

local in_nginx = ngx ~= nil and ngx.socket ~= nil

-- How long further strings are waited for once one has begun.
local WINDOW_MS = in_nginx and 1 or 0

local function new_socket()
  if in_nginx then return ngx.socket.tcp() end
  local unix = require 'socket.unix'
  -- Older releases are the function itself.
  if type(unix) == 'table' then return unix.stream() end
  return unix()
end

local function set_timeout(sock, ms)
  if in_nginx then
    sock:settimeout(ms)
  else
    sock:settimeout(ms / 1000)
  end
end

local client = {}
client.__index = client

function client:new(options)
  local timeout = options and options.timeout or 60000
  return setmetatable({ timeout = timeout, ready = {} }, self)
end

function client:connect(path)
  local sock, err = new_socket()
  if not sock then return nil, 'socket: ' .. tostring(err) end
  set_timeout(sock, self.timeout)
  local ok
  ok, err = sock:connect(in_nginx and 'unix:' .. path or path)
  if not ok then return nil, 'socket: ' .. tostring(err) end
  self.sock, self.started, self.closed, self.ready = sock, false, false, {}
  return true
end

-- What is wrong with a call at this time.
local function misuse(self)
  if self.closed then return 'user_error: connection closed' end
  if not self.sock then return 'user_error: not setup' end
end

local function send(self, bytes)
  local sent, err = self.sock:send(bytes)
  if not sent then return nil, 'socket: ' .. tostring(err) end
  return sent
end

-- The number of arguments and all of them, in one send.
function client:send_args(args)
  local wrong = misuse(self)
  if not wrong and self.started then wrong = 'user_error: args already sent' end
  if not wrong and (type(args) ~= 'table' or #args == 0) then
    wrong = 'user_error: args must be array-like table'
  end
  if wrong then return nil, wrong end
  self.started = true
  return send(self, netstring.encode(#args, unpack(args)))
end

function client:send_data(data)
  local wrong = misuse(self)
  if not wrong and not self.started then wrong = 'user_error: must send args first' end
  if wrong then return nil, wrong end
  return send(self, netstring.encode(data))
end

client.send = client.send_data

function client:send_close()
  return self:send_data('')
end

-- One pass: the pairs that are there. A string without its fellow is lost.
local function read_pass(self)
  set_timeout(self.sock, self.timeout)
  local begun = function() set_timeout(self.sock, WINDOW_MS) end
  local strings, text, err = {}, nil, nil
  repeat
    text, err = netstring.read(self.sock, begun)
    strings[#strings + 1] = text
  until not text
  if err == 'violated' then self.sock:close() end
  if err ~= 'timeout' then self.closed = true end
  for at = 2, #strings, 2 do
    table.insert(self.ready, { strings[at - 1], strings[at] })
  end
end

-- The next value, its tag; or nil, nil and `timeout` or `closed`. A pass without a pair is a `timeout`
-- whatever the reason. A wrong use is told in the second result.
function client:receive()
  if #self.ready == 0 then
    if self.closed then return nil, nil, 'closed' end
    local wrong = misuse(self)
    if not wrong and not self.started then wrong = 'user_error: must send args first' end
    if wrong then return nil, wrong end
    read_pass(self)
    if #self.ready == 0 then return nil, nil, 'timeout' end
  end
  local pair = table.remove(self.ready, 1)
  return pair[2], pair[1]
end

function client:close()
  local wrong = misuse(self)
  if wrong then return nil, wrong end
  self.closed = true
  return self.sock:close()
end

if not in_nginx then
  function client:getfd()
    return self.sock and self.sock:getfd()
  end
end

return client
