// SPDX-License-Identifier: GPL-2.0-only
//
// The module: makes instances, and takes the blocks of memory that TypeScript shares with the core.
// The calls of the loops are in calls.c.
//
// Nothing in this file allocates: there are no exceptions, so a failed operator new would end the
// process. Memory comes from calls.c, which checks what it gets. So of node-addon-api this takes
// the values, and not what brings data of its own (CallbackInfo, External with a finalizer) or
// throws where the environment is about to end (Object::Set).

#include <napi.h>

#include "calls.h"
#ifdef WB_FILE_ENGINE
#include "file_calls.h"
#endif

namespace
{

// What a callback was called with; undefined where there is no argument.
struct Arguments {
	napi_env env;
	struct instance *instance;
	napi_value values[2];

	Arguments(napi_env env, napi_callback_info info) : env(env)
	{
		size_t count = 2;
		void *data = nullptr;

		napi_get_cb_info(env, info, &count, values, nullptr, &data);
		instance = static_cast<struct instance *>(data);
	}

	Napi::Value operator[](size_t i) const
	{
		return Napi::Value(env, values[i]);
	}

	// The memory of the first argument, an ArrayBuffer that TypeScript keeps alive and never
	// detaches.
	void *memory(size_t size) const
	{
		if ((*this)[0].IsArrayBuffer()) {
			Napi::ArrayBuffer buffer = (*this)[0].As<Napi::ArrayBuffer>();

			if (buffer.ByteLength() >= size)
				return buffer.Data();
		}
		napi_throw_type_error(env, nullptr, "expected an ArrayBuffer of the layout's size");
		return nullptr;
	}
};

// openMapping(pageShift): its number goes to control.mapping. Returns 0, or a negative errno.
napi_value openMapping(napi_env env, napi_callback_info info)
{
	const Arguments arguments(env, info);

	if (!arguments[0].IsNumber())
		return nullptr;
	return Napi::Number::New(
		env, instance_open_mapping(arguments.instance,
					   arguments[0].As<Napi::Number>().Uint32Value()));
}

// addChunk(slab, number): that chunk of a slab, for the mapping that the control block names.
napi_value addChunk(napi_env env, napi_callback_info info)
{
	const Arguments arguments(env, info);

	if (!arguments[1].IsNumber())
		return nullptr;
	uint32_t number = arguments[1].As<Napi::Number>().Uint32Value();
	void *slab = arguments.memory((number + size_t{1}) * SLAB_CHUNK_BYTES + SLAB_EXTRA_BYTES);
	if (slab != nullptr)
		instance_add_chunk(arguments.instance, slab, number);
	return nullptr;
}

// giveNodes(nodes, max): memory for max nodes, for the mapping that the control block names.
napi_value giveNodes(napi_env env, napi_callback_info info)
{
	const Arguments arguments(env, info);

	if (!arguments[1].IsNumber())
		return nullptr;
	uint32_t max = arguments[1].As<Napi::Number>().Uint32Value();
	void *nodes = arguments.memory(max * size_t{NODE_WORD_BYTES});
	if (nodes != nullptr)
		instance_give_nodes(arguments.instance, nodes, max);
	return nullptr;
}

// openPass(pass): a block for the mapping that the control block names.
napi_value openPass(napi_env env, napi_callback_info info)
{
	const Arguments arguments(env, info);
	void *pass = arguments.memory(PASS_WORD_BYTES);

	if (pass != nullptr)
		instance_open_pass(arguments.instance, pass);
	return nullptr;
}

bool add(Napi::Object object, const struct call &call, void *data)
{
	napi_value function;

	return napi_create_function(object.Env(), call.name, NAPI_AUTO_LENGTH, call.function, data,
				    &function) == napi_ok &&
	       napi_set_named_property(object.Env(), object, call.name, function) == napi_ok;
}

constexpr struct call calls_with_arguments[] = {
	{"openMapping", openMapping},
	{"addChunk", addChunk},
	{"giveNodes", giveNodes},
	{"openPass", openPass},
};

// create(control): the calls, over a control block of the caller's own. Undefined if there is no
// memory.
napi_value create(napi_env env, napi_callback_info info)
{
	const Arguments arguments(env, info);

	if (arguments.memory(CONTROL_BYTES) == nullptr)
		return nullptr;
	struct instance *instance = instance_new(env, arguments[0]);
	if (instance == nullptr)
		return nullptr;
	Napi::Object functions = Napi::Object::New(env);
	for (size_t i = 0; i < nr_calls; i++) {
		if (!add(functions, calls[i], instance))
			return nullptr;
	}
	for (const struct call &call : calls_with_arguments) {
		if (!add(functions, call, instance))
			return nullptr;
	}
	return functions;
}

} // namespace

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */)
{
	napi_value version = Napi::Number::New(env, LAYOUT_VERSION);

	if (napi_set_named_property(env, exports, "layoutVersion", version) != napi_ok ||
	    !add(Napi::Object(env, exports), {"create", create}, nullptr))
		return nullptr;
#ifdef WB_FILE_ENGINE
	if (!add(Napi::Object(env, exports), {"createFileEngine", create_file_engine}, nullptr))
		return nullptr;
#endif
	return exports;
}
