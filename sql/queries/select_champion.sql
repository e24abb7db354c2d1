select *
from models
where role = 'champion'
