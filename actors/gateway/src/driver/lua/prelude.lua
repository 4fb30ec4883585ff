-- What every state has beside Lua's own libraries, and the way from an object to a hook and back. It is called
-- with what Rust and LuaJIT give, and returns the functions that Rust calls.
local native, decode, encode, funcinfo = ...

local error, next, pcall, rawget, select, tostring, type = error, next, pcall, rawget, select, tostring, type
local compile, concat, G = load, table.concat, _G

-- Compiled code could do anything, and is not loaded.
function load(chunk, name, _, env)
  if env == nil then return compile(chunk, name, 't') end
  return compile(chunk, name, 't', env)
end
loadstring = load

-- Nothing interrupts the handler of an error that is still on its way: it runs once the error was caught.
local function outcome(handler, fine, ...)
  if fine then return true, ... end
  return false, handler((...))
end
function xpcall(f, handler, ...) return outcome(handler, pcall(f, ...)) end

-- How often what needs much of the thread's stack may be within itself: coroutines, which have stacks of their
-- own for what Lua calls and not for what C calls, and replacements by functions.
local DEEPEST = 20
local depth = 0
local create, resume = coroutine.create, coroutine.resume
local function leave(...)
  depth = depth - 1
  return ...
end
function coroutine.resume(routine, ...)
  if type(routine) ~= 'thread' then return resume(routine) end
  if depth >= DEEPEST then error('coroutines are too deep within each other', 2) end
  depth = depth + 1
  return leave(resume(routine, ...))
end
local function pass(fine, ...)
  if fine then return ... end
  error((...), 0)
end
function coroutine.wrap(f)
  local routine = create(f)
  return function(...) return pass(coroutine.resume(routine, ...)) end
end

local gsub = string.gsub
local function done(fine, ...)
  depth = depth - 1
  return pass(fine, ...)
end
function string.gsub(text, pattern, by, most)
  if type(by) ~= 'function' and type(by) ~= 'table' then return gsub(text, pattern, by, most) end
  if depth >= DEEPEST then error('replacements are too deep within each other', 2) end
  depth = depth + 1
  return done(pcall(gsub, text, pattern, by, most))
end

-- What would end the process, run programs, touch files or have no bounds is for hooks elsewhere.
for _, name in pairs({ 'dofile', 'loadfile', 'module', 'newproxy', 'jit' }) do G[name] = nil end
for _, name in pairs({ 'execute', 'exit', 'remove', 'rename', 'setlocale', 'tmpname' }) do os[name] = nil end
string.dump = nil

function print(...)
  local words = {}
  for at = 1, select('#', ...) do words[at] = tostring((select(at, ...))) end
  native.log(concat(words, '\t'), 'info')
end

cjson = { null = native.null }
function cjson.decode(text) return decode(native.from_json(text)) end
function cjson.encode(value) return native.to_json(encode(value)) end

-- Files of the folder and what they return.
local loaded = { bit = bit, cjson = cjson, coroutine = coroutine, math = math, os = os, string = string,
  table = table }
package = { loaded = loaded }

function require(name)
  local value = loaded[name]
  if value ~= nil then return value end
  local chunk = native.chunk(name)
  if chunk == nil then error("there is no module '" .. tostring(name) .. "'", 2) end
  loaded[name] = true
  local fine, result = pcall(chunk, name)
  if not fine then
    loaded[name] = nil
    error(result, 0)
  end
  if result ~= nil then loaded[name] = result end
  return loaded[name]
end

local function list(owner, name)
  local found = owner[name]
  if found == nil then
    found = {}
    owner[name] = found
  end
  return found
end

local req, resp = {}, {}
tyk = {
  req = req,
  resp = resp,
  store_data = native.store_data,
  get_data = native.get_data,
  trigger_event = native.trigger_event,
}
function tyk.log(message, level) native.log(tostring(message), type(level) == 'string' and level or 'info') end
function tyk.log_error(message) native.log(tostring(message), 'error') end

function req.get_headers() return object.request.headers end
function req.set_header(name, value) list(object.request, 'set_headers')[name] = value end
function req.clear_header(name)
  local names = list(object.request, 'delete_headers')
  names[#names + 1] = name
end
function req.get_body() return native.decode_base64(object.request.raw_body or '') end
function req.set_body(body) object.request.raw_body = native.encode_base64(body) end
function resp.get_body() return native.decode_base64(object.response.raw_body or '') end
function resp.set_body(body) object.response.raw_body = native.encode_base64(body) end

-- How many parameters a function has; those of any number of arguments take what an authentication has.
local parameters = setmetatable({}, { __mode = 'k' })
local function count(hook, is_auth)
  local number = parameters[hook]
  if number == nil then
    local fine, info = pcall(funcinfo, hook)
    number = fine and info.params or 3
    if fine and info.isvararg and number < 4 then number = 0 end
    parameters[hook] = number
  end
  if number == 0 then return is_auth and 4 or 3 end
  return number
end

local function part(returned, own, name)
  if returned == nil then return own end
  if type(returned) ~= 'table' then error('it returned ' .. type(returned) .. ' for its ' .. name, 0) end
  return returned
end

local AUTH, RESPONSE = 4, 5

-- What counts of a response.
local function answer(response, body, raw)
  if type(response) ~= 'table' then error('it left no response', 0) end
  local changed = {
    status_code = response.status_code,
    headers = response.headers,
    multivalue_headers = response.multivalue_headers,
  }
  if response.body ~= body then changed.body = response.body or '' end
  if response.raw_body ~= raw then changed.raw_body = response.raw_body or '' end
  return changed
end

local function dispatch(text)
  local o = decode(text)
  object, depth = o, 0
  local hook = rawget(G, o.hook_name)
  if hook == nil then return nil end
  local kind = o.hook_type
  local is_auth = kind == AUTH
  local request, response = o.request, o.response
  local raw_body, text_body
  if kind == RESPONSE then raw_body, text_body = response.raw_body, response.body end
  if is_auth then
    o.session = o.session or { metadata = {} }
    o.metadata = o.session.metadata
  end
  local raw, body, url, method = request.raw_body, request.body, request.url, request.method
  local arity = count(hook, is_auth)
  if arity == 5 then
    hook(request, response, o.session, o.metadata, o.spec)
  elseif arity == 4 then
    local r, s, m = hook(request, o.session, o.metadata, o.spec)
    o.request, o.session = part(r, o.request, 'request'), part(s, o.session, 'session')
    o.metadata = part(m, o.metadata, 'metadata')
  else
    local r, s = hook(request, o.session, o.spec)
    o.request, o.session = part(r, o.request, 'request'), part(s, o.session, 'session')
  end
  if kind == RESPONSE then
    return encode({ response = answer(o.response, text_body, raw_body) })
  end
  local r = o.request
  if type(r) ~= 'table' then error('it left no request', 0) end
  local changed = {
    set_headers = r.set_headers,
    delete_headers = r.delete_headers,
    add_params = r.add_params,
    delete_params = r.delete_params,
    return_overrides = r.return_overrides,
  }
  if r.url ~= url then changed.url = r.url or '' end
  if r.method ~= method then changed.method = r.method or '' end
  if r.body ~= body then changed.body = r.body or '' end
  if r.raw_body ~= raw then changed.raw_body = r.raw_body or '' end
  if not is_auth then return encode({ request = changed }) end
  local session = o.session
  -- One that nothing was written to is none.
  local metadata = session and session.metadata
  if session and (metadata == nil or next(metadata) == nil) then
    local first = next(session)
    if first == nil or first == 'metadata' and next(session, first) == nil then session = nil end
  end
  return encode({ request = changed, session = session, metadata = o.metadata })
end

-- The handler of an event is called with the message and the spec of the event.
local function handle(payload)
  local event = cjson.decode(payload)
  local handler = rawget(G, event.handler_name)
  if handler == nil then return false end
  handler(event.message, event.spec)
  return true
end

return dispatch, handle
