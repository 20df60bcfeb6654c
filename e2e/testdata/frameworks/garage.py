"""A CherryPy app."""

import cherrypy

cherrypy.config.update({"environment": "embedded"})


class Garage:
    @cherrypy.expose
    def index(self, name=""):
        return "garage of " + name

    @cherrypy.expose
    @cherrypy.tools.json_out()
    def park(self, plate, photo):
        return {"plate": plate, "photo": photo.file.read().decode(), "method": cherrypy.request.method}

    @cherrypy.expose
    def cars(self):
        cherrypy.response.headers["Content-Type"] = "text/plain"
        return (f"car {n}\n".encode() for n in range(3))

    cars._cp_config = {"response.stream": True}


application = cherrypy.Application(Garage(), script_name="")
