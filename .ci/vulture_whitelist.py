"""Names of src that nothing in src reads: who does is said here. `make lint` reads it, nobody runs it."""

# qase-pytest calls these of the client and of the plan loader that take the place of its own.
_.get_environment
_.create_test_run
_.check_test_run
_.send_results
_.enable_public_report
_._upload_attachment
_.load
host_data
api_token

# qase-pytest calls these of what it is handed in place of a module or a pytest object.
_.getenv
_.typename
_._log_file
_.exconly
_.get_closest_marker

# pytest calls it on its option parser, whose place ours takes.
_.addini

# The XML parser calls it of its target.
_.doctype
pubid

# The import system calls these of a finder and loader.
_.find_spec
_.create_module
_.exec_module

# requests, urllib3 and sqlite3 read these.
_.resolve_redirects
_.verify
_.pool_classes_by_scheme
_.ConnectionCls
_.isolation_level

# The templates of the local back end's pages read these.
_.link_is_web
_.has_more
_.created
_.iso
_.pair
_.is_first_failure
_.height
_.is_this
_.toggled

# Pydantic, Starlette's form parser and uvicorn read or call these.
_.model_config
_.is_autotest
_.public_id
_.spool_max_size
_.on_end
_.should_exit

# Python prescribes these parameters.
exc_info
mcs
attributes

# What tests alone ask for: to read back what arrived, and to bring the local back end up again.
_.list_results
_.restart

# Plugins read these of what their hooks are handed.
_.kept_back

# pytest reads these of long tests, and of its options; users call and override the others.
_.collectonly
_.istestfunction
_.istestclass
_.place_as
_.pytestmark
result_reporter
_.put_nowait

# Authors of back ends subclass it.
ClientConformance

# Read by name, for the attributes that a tracker has.
_.case_id
dont_write_bytecode  # of sys
