// SPDX-License-Identifier: GPL-2.0-only
//
// The module: makes instances, and takes the blocks of memory that TypeScript shares with the core.
// The calls of the loops are in calls.c. Everything hangs on the environment's instance data, so
// that the addon loads in many threads and contexts at once.

#include <napi.h>

#include <memory>
#include <vector>

#include "calls.h"

namespace
{

// The memory of the control block is TypeScript's; the reference keeps it while anybody can call.
struct Instance {
	struct instance *core;
	Napi::Reference<Napi::ArrayBuffer> control;

	~Instance()
	{
		instance_free(core);
	}
};

using Instances = std::vector<std::shared_ptr<Instance>>;

// What the garbage collector holds of an open mapping.
struct Mapping {
	std::shared_ptr<Instance> instance;
	uint32_t id;
	bool open;

	void close()
	{
		if (open)
			instance_close_mapping(instance->core, id);
		open = false;
	}
};

struct instance *core_of(const Napi::CallbackInfo &info)
{
	return static_cast<struct instance *>(info.Data());
}

// The memory of an ArrayBuffer argument, which TypeScript keeps alive and never detaches.
void *memory_of(const Napi::CallbackInfo &info, size_t size)
{
	if (info.Length() > 0 && info[0].IsArrayBuffer()) {
		Napi::ArrayBuffer buffer = info[0].As<Napi::ArrayBuffer>();

		if (buffer.ByteLength() >= size)
			return buffer.Data();
	}
	Napi::TypeError::New(info.Env(), "expected an ArrayBuffer of the layout's size")
		.ThrowAsJavaScriptException();
	return nullptr;
}

// openMapping(deferred, pageShift): its number goes to control.mapping. Returns what closes the
// mapping when it is collected, or undefined if there is no memory.
Napi::Value openMapping(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	void *deferred = memory_of(info, DEFERRED_BYTES);

	if (deferred == nullptr || !info[1].IsNumber())
		return env.Undefined();
	for (const std::shared_ptr<Instance> &instance : *env.GetInstanceData<Instances>()) {
		if (instance->core != core_of(info))
			continue;
		int id = instance_open_mapping(instance->core, deferred,
					       info[1].As<Napi::Number>().Uint32Value());
		if (id < 0)
			break;
		return Napi::External<Mapping>::New(
			env, new Mapping{instance, static_cast<uint32_t>(id), true},
			[](Napi::BasicEnv, Mapping *mapping) {
				mapping->close();
				delete mapping;
			});
	}
	return env.Undefined();
}

Napi::Value closeMapping(const Napi::CallbackInfo &info)
{
	if (info.Length() > 0 && info[0].IsExternal())
		info[0].As<Napi::External<Mapping>>().Data()->close();
	return info.Env().Undefined();
}

// A block of shared memory for the mapping, and the pass, that the control block names.
template <void (*take)(struct instance *, void *), size_t size>
Napi::Value takeMemory(const Napi::CallbackInfo &info)
{
	void *memory = memory_of(info, size);

	if (memory != nullptr)
		take(core_of(info), memory);
	return info.Env().Undefined();
}

// create(control): the calls, over a control block of the caller's own. Undefined if there is no
// memory.
Napi::Value create(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	void *control = memory_of(info, CONTROL_BYTES);

	if (control == nullptr)
		return env.Undefined();
	struct instance *core = instance_new(control);
	if (core == nullptr)
		return env.Undefined();
	std::shared_ptr<Instance> instance = std::make_shared<Instance>();
	instance->core = core;
	instance->control = Napi::Persistent(info[0].As<Napi::ArrayBuffer>());
	env.GetInstanceData<Instances>()->push_back(instance);

	Napi::Object functions = Napi::Object::New(env);
	auto add = [&](const char *name, Napi::Value (*function)(const Napi::CallbackInfo &)) {
		functions.Set(name, Napi::Function::New(env, function, name, core));
	};
	for (size_t i = 0; i < nr_calls; i++) {
		napi_value function;

		if (napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, calls[i].function,
					 core, &function) != napi_ok)
			return env.Undefined();
		functions.Set(calls[i].name, function);
	}
	add("openMapping", openMapping);
	add("closeMapping", closeMapping);
	add("addChunk", takeMemory<instance_add_chunk, FOLIO_CHUNK_BYTES>);
	add("openPass", takeMemory<instance_open_pass, PASS_BYTES>);
	add("openExtent", takeMemory<instance_open_extent, EXTENT_BYTES>);
	return functions;
}

Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	env.SetInstanceData(new Instances());
	exports.Set("layoutVersion", Napi::Number::New(env, LAYOUT_VERSION));
	exports.Set("create", Napi::Function::New(env, create, "create"));
	return exports;
}

} // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
